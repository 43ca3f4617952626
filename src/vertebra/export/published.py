"""The files in which a run is published, and a run made again from such files.

FOLDER/model.safetensors   the selected weights
FOLDER/recipe.json         the recipe that ran
FOLDER/classes.json        class names, in the order of the logits
FOLDER/preprocess.json     what turns a file into model input
FOLDER/record.json         what ran and what came out, with the licence
FOLDER/README.md           the model card, see `card`

What is private stays at home: the pictures and names of mistakes, the names of refused files, and
the folders of this machine. What comes from elsewhere is read as JSON and tensors and written anew,
so nothing but values arrives.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vertebra.engine import checkpoint
from vertebra.errors import CheckpointError
from vertebra.export.card import card
from vertebra.records import (
    Json,
    RunDirectory,
    RunRecord,
    read_json,
    read_record,
    write_json,
    write_record,
    write_text,
)
from vertebra.report.evaluation import read_evaluation

WEIGHTS, CARD = "model.safetensors", "README.md"
VALUES = ("recipe.json", "classes.json", "preprocess.json", "record.json")
MOST_BYTES = 2**24
"""No JSON file of a run is larger; one from elsewhere might be."""


def write_published(run: RunDirectory, folder: Path, *, name: str, licence: str) -> None:
    """Writes the files of a finished run into an empty `folder`.

    name: "OWNER/NAME", as the card calls it.

    Raises:
        CheckpointError: the run has not finished, knows no classes, or a file of it is broken.
    """
    record = _without_places(replace(read_record(run), licence=licence))
    classes, preprocess = read_json(run.classes), read_json(run.preprocess)
    if not classes:
        raise CheckpointError(
            f"{run.path} knows no classes, and what is published names some; publish what "
            f"`vertebra train DATA --weights {run.path}` makes of it"
        )
    best = checkpoint.load(run.checkpoints / "best").tensors["model"]
    images = read_evaluation(run.evaluation).n
    place = RunDirectory(folder)
    write_json(place.recipe, record.recipe)
    write_json(place.classes, classes)
    write_json(place.preprocess, preprocess)
    write_record(place, record)
    write_text(folder / CARD, card(record, classes, images=images, name=name))
    checkpoint.save_weights(folder / WEIGHTS, best, {"format": "pt"})


def read_published(folder: Path, run: RunDirectory, *, check: Callable[[Path], object]) -> None:
    """Makes a run directory out of published files; all of it or nothing.

    check: is called with the directory before it takes its place, and raises if it is no run.

    Raises:
        CheckpointError: the place is taken, a file is missing, or it holds something else.
    """
    run.require_free()
    values = {name: _read(folder / name) for name in VALUES}
    weights, _ = checkpoint.load_weights(folder / WEIGHTS)
    made = RunDirectory(folder / "run")
    for name in VALUES:
        write_json(made.path / name, values[name])
    record = read_record(made)
    state = {"best_step": record.best_step, "best": dict(record.selection)}
    checkpoint.save(made.checkpoints / "best", tensors={"model": weights}, state=state)
    check(made.path)
    _move(made.path, run.path)


def _read(path: Path) -> Json:
    """Returns a JSON value that someone else wrote."""
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise CheckpointError(f"{path.name} has more than {MOST_BYTES} bytes; it is none of a run")
    try:
        return read_json(path)
    except RecursionError as error:
        raise CheckpointError(f"{path.name} is nested too deeply; it is none of a run") from error


def _move(made: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():  # an empty one
        place.rmdir()
    made.rename(place)


def _without_places(record: RunRecord) -> RunRecord:
    """Returns the record without folders of this machine and without names of files."""
    recipe = json.loads(json.dumps(record.recipe))
    for phase in recipe["phases"]:
        phase["data"]["source"] = re.split(r"[\\/]", phase["data"]["source"])[-1]
    if recipe.get("pretrained"):
        recipe["pretrained"]["weights"] = _named(recipe["pretrained"]["weights"])
    pretrained = record.pretrained
    if pretrained is not None:
        pretrained = {**pretrained, "source": _named(pretrained["source"])}
    data = {
        split: {**part, "refused": [{**each, "name": "(withheld)"} for each in part["refused"]]}
        for split, part in record.data.items()
    }
    return replace(
        record,
        recipe=recipe,
        pretrained=pretrained,
        data=data,
        quarantined=("(withheld)",) * len(record.quarantined),
    )


def _named(source: str) -> str:
    """Returns the last part of a path; a name on the Hub, as OWNER/NAME, stays."""
    is_path = source.startswith((".", "~")) or Path(source).is_absolute() or Path(source).exists()
    return Path(source).name if is_path else source
