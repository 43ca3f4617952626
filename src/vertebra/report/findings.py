"""Everything a run directory says of its run, also when the run did not finish."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vertebra.errors import CheckpointError
from vertebra.records import Json, RunDirectory, RunRecord, read_events, read_json, read_record
from vertebra.report.evaluation import Evaluation, read_evaluation
from vertebra.report.quantities import is_number


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was read; `problems` says what was not there, a sentence each."""

    directory: RunDirectory
    recipe: Json
    environment: Json
    record: RunRecord | None
    evaluation: Evaluation | None
    events: list[dict[str, Json]]
    problems: list[str]

    def of_kind(self, kind: str) -> list[dict[str, Json]]:
        """Returns the events of one kind, in order."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def name(self) -> str:
        """The run's name, else the recipe's, else the folder's."""
        if self.record is not None:
            return self.record.name
        return _label(self.recipe) or self.directory.path.name

    @property
    def model(self) -> str:
        """The name of the model in the record, else of its family."""
        if self.record is not None and self.record.model:
            return self.record.model
        return (_label(_search(self.recipe, "model")) or "model").removesuffix("Spec")

    @property
    def data(self) -> str:
        """The name of the data in the recipe; of a path, its last part."""
        return Path(_label(_search(self.recipe, "data")) or "data").name

    @property
    def seed(self) -> str | None:
        """The seed in the recipe."""
        seed = _search(self.recipe, "seed")
        return None if seed is None else str(seed)

    @property
    def device(self) -> str | None:
        """The device in the environment."""
        return _label(_search(self.environment, "device"))

    @property
    def best_step(self) -> int | None:
        """The step whose checkpoint was chosen: by the record, else the last one saved as best."""
        if self.record is not None:
            return self.record.best_step
        saves = [event["step"] for event in self.of_kind("save") if event.get("kind") == "best"]
        return saves[-1] if saves else None


def read_findings(directory: RunDirectory) -> Findings:
    """Returns what the files of a run say; only the recipe must be there.

    Raises:
        CheckpointError: the path holds no run, or its recipe is broken.
    """
    recipe = read_json(directory.require().recipe)
    problems: list[str] = []
    record = environment = evaluation = None
    try:
        record = read_record(directory)
    except CheckpointError as error:
        problems.append(str(error))
    if directory.environment.is_file():
        try:
            environment = read_json(directory.environment)
        except CheckpointError as error:
            problems.append(str(error))
    if directory.evaluation.is_file():
        try:
            evaluation = read_evaluation(directory.evaluation)
        except CheckpointError as error:
            problems.append(str(error))
    elif record is not None:
        problems.append("There is no evaluation.json, so there are no figures by class.")
    if environment is None and record is not None:
        environment = record.environment
    return Findings(
        directory=directory,
        recipe=recipe,
        environment=environment or {},
        record=record,
        evaluation=evaluation,
        events=_events(directory.metrics),
        problems=problems,
    )


def number(value: Json) -> float | None:
    """Returns a number of an event; None for text such as "nan", and for what is not there."""
    return float(value) if is_number(value) else None


def _events(path: Path) -> list[dict[str, Json]]:
    return list(read_events(path)) if path.is_file() else []


def _search(value: Json, key: str) -> Json:
    """Returns the value of the shallowest `key` in nested JSON, None where there is none."""
    level: list[Json] = [value]
    while level:
        for item in level:
            if isinstance(item, Mapping) and key in item:
                return item[key]
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, Mapping) else item)
            if isinstance(child, Mapping | list)
        ]
    return None


def _label(value: Json) -> str | None:
    """Returns the text that names a part: itself, or its first entry that usually holds a name."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        for key in ("name", "source", "path", "device", "type", "kind"):
            if isinstance(value.get(key), str):
                return value[key]
    return None
