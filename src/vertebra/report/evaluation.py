"""evaluation.json: how a finished run did on the split it reports, class by class."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vertebra.errors import CheckpointError
from vertebra.records import Json, read_json, write_json


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """An image taken for another class; `picture` is a data URI of a small PNG or JPEG, if any."""

    name: str
    target: str
    predicted: str
    confidence: float
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluation.json` holds.

    confusion: [K, K] counts in the order of `classes`; rows are true, columns predicted ones.
    mistakes:  the most confident ones, most confident first.
    """

    split: str
    n: int
    figures: Mapping[str, float]
    classes: Sequence[str]
    confusion: Sequence[Sequence[int]]
    mistakes: Sequence[Mistake] = field(default_factory=tuple)


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Writes the evaluation of a run."""
    write_json(path, asdict(evaluation))


def read_evaluation(path: Path) -> Evaluation:
    """Returns what `write_evaluation` wrote; a mistake's classes may be numbers or names.

    Raises:
        CheckpointError: the file is missing, or says something else.
    """
    data: dict[str, Json] = read_json(path)
    try:
        classes = [str(name) for name in data["classes"]]
        confusion = [[int(count) for count in row] for row in data["confusion"]]
        if [len(row) for row in confusion] != [len(classes)] * len(classes):
            raise ValueError(f"its confusion matrix does not fit {len(classes)} classes")
        return Evaluation(
            split=str(data["split"]),
            n=int(data["n"]),
            figures={str(name): float(value) for name, value in data["figures"].items()},
            classes=classes,
            confusion=confusion,
            mistakes=[_mistake(item, classes) for item in data.get("mistakes", [])],
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no evaluation ({error}); write it again with `vertebra evaluate`"
        ) from error


def _mistake(item: Mapping[str, Json], classes: Sequence[str]) -> Mistake:
    return Mistake(
        name=str(item["name"]),
        target=_class_name(item["target"], classes),
        predicted=_class_name(item["predicted"], classes),
        confidence=float(item["confidence"]),
        picture=str(item.get("picture", "")),
    )


def _class_name(value: str | int, classes: Sequence[str]) -> str:
    return classes[value] if isinstance(value, int) else value
