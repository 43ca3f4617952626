"""The weights that a run starts from: published ones, or those that an earlier run selected."""

from dataclasses import replace
from pathlib import Path

from vertebra.contracts import Classifier
from vertebra.errors import CheckpointError
from vertebra.models.ensemble import Ensemble
from vertebra.models.pretrained import PretrainedReport, load_pretrained
from vertebra.models.shelf import nearest_name, title
from vertebra.recipes.deploy import Deployed, load_run
from vertebra.recipes.materials import build_model
from vertebra.recipes.norms import operated
from vertebra.recipes.recipe import Pretrained, Recipe
from vertebra.records import RunDirectory, read_record
from vertebra.seeding import seeded
from vertebra.uncompiled import outline


def load_start(
    model: Classifier,
    recipe: Recipe,
    pretrained: Pretrained,
    *,
    classes: tuple[str, ...],
    download: bool = False,
) -> PretrainedReport:
    """Copies the pretrained weights into the recipe's `model` and returns what was done.

    classes: those of the data; a run that knows the same ones gives its head as well.

    Raises:
        CheckpointError: the weights are missing, broken, or another model's.
    """
    if Path(pretrained.weights).is_dir():
        return _load_run(model, recipe, Path(pretrained.weights), classes=classes)
    if isinstance(model.backbone, Ensemble):
        raise CheckpointError(
            f"weights={pretrained.weights!r} are of one network and the model is "
            f"{title(recipe.model)}, whose networks must start apart; train it from fresh weights, "
            f"or start from a run of the same model"
        )
    with seeded(recipe.seed, "start"):
        return load_pretrained(
            model,
            name=nearest_name(recipe.model),
            weights=pretrained.weights,
            download=download,
        )


def look_up(recipe: Recipe, pretrained: Pretrained, *, download: bool = False) -> PretrainedReport:
    """Returns what the weights are and expect, having tried them in a model that is thrown away.

    Raises:
        CheckpointError: as `load_start`; told before any image is read.
    """
    with outline():
        model = build_model(recipe, 1)
    return load_start(
        model.to_empty(device="cpu"), recipe, pretrained, classes=("",), download=download
    )


def _load_run(
    model: Classifier, recipe: Recipe, directory: Path, *, classes: tuple[str, ...]
) -> PretrainedReport:
    run = load_run(directory, device="cpu", keeps_memory=False)
    network = operated(run.model, run.recipe.model, recipe.model)
    norms = "" if network is run.model else ", its batch norms replaced"
    run = replace(run, model=network)
    _require_same(model, recipe, run, directory)
    model.backbone.load_state_dict(network.backbone.state_dict())
    if not run.classes:
        head = "a fresh head, as it knows no classes"
    elif run.classes == classes:
        model.head.load_state_dict(network.head.state_dict())
        head = f"its head for the same {len(classes)} classes"
    else:
        head = f"a fresh head for {len(classes)} classes in place of its {len(run.classes)}"
    origin, licence = _origin(directory)
    return PretrainedReport(
        notes=(f"starts from {directory} ({title(run.recipe.model)}){norms}, with {head}",),
        source=origin,
        licence=licence,
        image_size=run.preprocess.image_size,
        mean=run.preprocess.mean,
        std=run.preprocess.std,
    )


def _require_same(model: Classifier, recipe: Recipe, run: Deployed, directory: Path) -> None:
    ours, theirs = (
        {name: value.shape for name, value in each.backbone.state_dict().items()}
        for each in (model, run.model)
    )
    if ours == theirs:
        return
    channels = model.backbone.in_channels, run.model.backbone.in_channels
    if channels[0] != channels[1]:
        raise CheckpointError(
            f"{directory} takes images of {channels[1]} channels and the recipe gives "
            f"{channels[0]}; start from a run on images of the same kind"
        )
    raise CheckpointError(
        f"{directory} holds {title(run.recipe.model)}, which does not fit "
        f"{title(recipe.model)}; leave out the model to take that of the run"
    )


def _origin(directory: Path) -> tuple[str, str | None]:
    """Returns what the run is called as a source, and the licence that its weights stand under."""
    place, name = RunDirectory(directory), f"the run {directory.resolve().name}"
    if not place.record.is_file():
        return name, None
    record = read_record(place)
    if record.pretrained is None:
        return name, record.licence
    source, licence = record.pretrained["source"], record.pretrained["licence"]
    return f"{name}, which started from {source}", record.licence or licence
