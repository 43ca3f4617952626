"""The card of a published model: what it is, how good, how it was made, under which licence."""

import json
from collections.abc import Sequence
from dataclasses import replace

from vertebra.records import Json, RunRecord
from vertebra.report import quantities as say

_MOST_CLASSES = 200
_DATA_SETS = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}
"""What we call a data set -> what the Hub calls it."""


def card(record: RunRecord, classes: Sequence[str], *, images: int, name: str) -> str:
    """Returns the README.md of a model repository: YAML between dashes, then Markdown.

    images: in the reported split; name: "OWNER/NAME".
    """
    figures = {
        metric: value
        for metric, value in record.figures.items()
        if not (say.is_share(metric) and len(classes) <= int(metric.removeprefix("top")) > 1)
    }
    record = replace(record, figures=figures)
    parts = [
        _front_matter(record, name=name),
        _what(record, name=name),
        _figures(record, images),
        _classes(classes),
        _training(record),
        _licence(record),
        _use(name),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(record: RunRecord, *, name: str) -> str:
    phase = record.recipe["phases"][-1]
    data = phase["data"]["source"]
    family = record.model.partition(" ")[0]
    fields: dict[str, Json] = {
        "license": record.licence,
        "library_name": "vertebra",
        "pipeline_tag": "image-classification",
        "tags": ["vertebra", "image-classification", family],
    }
    if data in _DATA_SETS:
        fields["datasets"] = [_DATA_SETS[data]]
    metrics = [
        {"type": "accuracy" if metric == "top1" else metric, "value": value}
        for metric, value in record.figures.items()
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": data, "type": data, "split": record.reported_split},
        "metrics": metrics,
    }
    fields["model-index"] = [{"name": name.partition("/")[2], "results": [result]}]
    # JSON is YAML too, and quotes whatever a name may hold
    lines = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _what(record: RunRecord, *, name: str) -> str:
    preprocess = record.recipe["phases"][-1]["data"]["preprocess"]
    size = preprocess["image_size"]
    return (
        f"# {name.partition('/')[2]}\n\n"
        f"An image classifier: {_code(record.model)}, {say.amount(record.parameters)} parameters, "
        f"{say.amount(record.macs)} multiply-adds an image of {preprocess['channels']} x {size} x "
        f"{size}. It was trained with Vertebra."
    )


def _figures(record: RunRecord, images: int) -> str:
    rows = ["## Figures", "", "| figure | value | 95% interval |", "|---|---|---|"]
    for metric, value in record.figures.items():
        told = say.interval(value, images) if say.is_share(metric) else say.NOTHING
        shown = say.figure(metric, value)
        rows.append(f"| {say.figure_name(metric)} | {shown} | {told} |")
    data = record.recipe["phases"][-1]["data"]["source"]
    rows += [
        "",
        f"On the {say.count(images)} images of the split {_code(record.reported_split)} of "
        f"{_code(data)}, which were looked at once, at the end. The weights were chosen on other "
        f"images. One run: the interval is that of the images, not of seeds.",
    ]
    return "\n".join(rows)


def _classes(classes: Sequence[str]) -> str:
    rest = len(classes) - _MOST_CLASSES
    shown = ", ".join(map(_code, classes[:_MOST_CLASSES]))
    more = f", and {rest} more in `classes.json`" if rest > 0 else ""
    return f"## Classes\n\n{len(classes)}: {shown}{more}"


def _training(record: RunRecord) -> str:
    recipe = record.recipe
    phase = recipe["phases"][-1]
    optimizer = phase["optimizer"]
    facts = {
        "recipe": f"{_code(recipe['name'])} ({recipe['source']}); `recipe.json` says all of it",
        "starts from": _start(record),
        "length": f"{say.number_of(record.epochs, 'epoch')}, "
        f"{say.number_of(record.steps, 'step')} of {phase['data']['batch_size']} images",
        "optimizer": f"{optimizer['kind']}, lr {optimizer['lr']:g}, "
        f"{phase['schedule']['kind'].lower()}",
        "images": ", ".join(
            f"{split} {say.count(part['used'])} of {say.count(part['found'])}"
            for split, part in record.data.items()
        ),
        "time": f"{say.duration(record.train_seconds)} on {record.environment.get('device')}",
    }
    lines = [f"- **{name}**: {told}" for name, told in facts.items()]
    return "\n".join(["## How it was trained", "", *lines])


def _start(record: RunRecord) -> str:
    if record.pretrained is None:
        return "fresh weights"
    return _code(record.pretrained["source"])


def _licence(record: RunRecord) -> str:
    told = f"## Licence\n\n{record.licence}"
    if record.pretrained is None:
        return told
    theirs = record.pretrained["licence"] or "not stated by their publisher"
    return f"{told}. The weights that it started from ({_start(record)}): {theirs}."


def _use(name: str) -> str:
    folder = name.partition("/")[2]
    return (
        "## How to use it\n\n"
        "```sh\n"
        'pip install "vertebra[hub]"\n'
        f"vertebra hub pull {name} --out {folder}\n"
        f"vertebra predict {folder} IMAGE...\n"
        "```\n\n"
        "```python\n"
        "import vertebra\n\n"
        f'run = vertebra.load_run("{folder}")  # run.model, run.classes, run.preprocess\n'
        "```"
    )


def _code(text: str) -> str:
    """Returns text that Markdown and HTML leave alone, whatever it holds."""
    return f"`{say.plain(text).replace('`', chr(39)).replace('|', '/')}`"
