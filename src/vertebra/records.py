"""What a run leaves behind: a directory of plain files, its event log, and its record.

RUN/recipe.json        the recipe as data; replayable
RUN/classes.json       class names, in the order of the logits
RUN/preprocess.json    size, channels, mean and std that turn a file into model input
RUN/environment.json   versions, device, code revision, a digest of the images' names and classes
RUN/metrics.jsonl      one event a line, see `EventLog`
RUN/metrics.csv        its step and evaluate events, for a spreadsheet
RUN/checkpoints/last   everything needed to continue; best: the same at the best selection figure;
                       labels-N: what a teacher said of images without labels before phase N
RUN/evaluation.json    confusion matrix, per-class figures and mistakes on the held-out split
RUN/record.json        the `RunRecord`
RUN/report.html        the same for the eye
"""

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from vertebra.errors import CheckpointError, DeviceError

Json: TypeAlias = Any
"""What `json` reads and writes: dicts with string keys, lists, strings, numbers, bools, None."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What ran and what came out; one value that tables, plots and reports read.

    model:      its name, or the nearest named one with what differs.
    pretrained: {"source": ..., "licence": ...} of the weights that it started from; None for fresh
                ones. A licence that nobody states is None.
    licence:    under which it was published; None if it was not.
    figures:    on the split that is reported, touched once: {"top1": 0.985, "loss": 0.07}.
    selection:  the same on the split that chose the checkpoint.
    data:       for each split {"found": n, "used": n, "refused": [{"name": ..., "reason": ...}]};
                "train" also has "left_out" and "wrong_labels" where the recipe asks for them.
    """

    name: str
    recipe: Json
    environment: Json
    started: str
    train_seconds: float
    total_seconds: float
    steps: int
    epochs: float
    best_step: int
    reported_split: str
    figures: Mapping[str, float]
    selection: Mapping[str, float]
    parameters: int
    macs: int
    images_per_second: float
    data_wait_share: float
    peak_memory_mb: float
    data: Mapping[str, Json]
    resumed_at: tuple[int, ...] = ()
    quarantined: tuple[str, ...] = ()
    model: str = ""
    pretrained: Json = None
    licence: str | None = None


class RunDirectory:
    """The paths of one run; naming them reads and makes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.json"
        self.classes = path / "classes.json"
        self.preprocess = path / "preprocess.json"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.table = path / "metrics.csv"
        self.checkpoints = path / "checkpoints"
        self.evaluation = path / "evaluation.json"
        self.record = path / "record.json"
        self.report = path / "report.html"

    def labels(self, phase: int) -> Path:
        """Returns where the labels are that a teacher gave before phase number `phase`."""
        return self.checkpoints / f"labels-{phase}"

    @classmethod
    def next(cls, source: str) -> "RunDirectory":
        """Returns the first of runs/NAME-1, runs/NAME-2, ... that does not exist, named after data.

        `source` is a data set's name or path; "photos.tar" and "some/photos" are both "photos".
        """
        name = Path(source).resolve().name.split(".")[0] if source else "run"
        number = 1
        while (path := Path("runs") / f"{name}-{number}").exists():
            number += 1
        return cls(path)

    def require(self) -> "RunDirectory":
        """Returns itself.

        Raises:
            CheckpointError: the path holds no run.
        """
        if not self.recipe.is_file():
            raise CheckpointError(
                f"{self.path} is no run directory (it has no recipe.json); "
                "give a folder that `vertebra train` made"
            )
        return self

    def require_free(self) -> "RunDirectory":
        """Returns itself.

        Raises:
            CheckpointError: something is there already.
        """
        path = self.path
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            goes_on = f", or continue its run with `vertebra resume {path}`"
            raise CheckpointError(
                f"{path} is {'a file' if path.is_file() else 'not empty'}; "
                f"choose another folder{goes_on if self.recipe.is_file() else ''}"
            )
        return self


class EventLog:
    """Appends events to `metrics.jsonl`, one JSON object a line; a killed run keeps what it said.

    Every event has "event", "step" and "epoch". The kinds:
        start     source, licence: the weights that the run starts from
        step      loss, parts, lr, images_per_s, data_wait (share of the time), memory_mb
        evaluate  split, figures
        save      kind ("last" or "best")
        resume    the run goes on from this step
        refuse    name, reason: a file that could not be read, found while training
        finish    seconds
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, *, step: int, epoch: float, values: Mapping[str, Json]) -> None:
        """Writes one event; values that are not finite become text ("nan", "inf").

        Raises:
            DeviceError: no space, or no right to write.
        """
        content = _finite({"event": event, "step": step, "epoch": round(epoch, 4), **values})
        line = json.dumps(content).encode() + b"\n"
        try:
            with self.path.open("a+b") as log:
                if log.tell() and not _ends_with_newline(log):
                    line = b"\n" + line  # a kill cut the last line off: leave it alone
                log.write(line)
        except OSError as error:
            raise DeviceError(
                f"cannot write {self.path}: {error.strerror}; "
                "free some space, then `vertebra resume`"
            ) from error


def read_events(path: Path, kind: str | None = None) -> Iterator[dict[str, Json]]:
    """Yields the events of a log, of one kind or all; a line cut off by a kill is left out.

    After a resume the same steps can stand twice; the later ones count, so earlier ones past the
    step it resumed from are left out.

    Raises:
        CheckpointError: there is no log.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror}; give a run directory"
        ) from error
    events: list[dict[str, Json]] = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if event["event"] == "resume":
            events = [earlier for earlier in events if earlier["step"] <= event["step"]]
        events.append(event)
    yield from (event for event in events if kind is None or event["event"] == kind)


def write_table(log: Path, table: Path) -> None:
    """Writes the step and evaluate events of `log` as CSV, a row an event, nested values flat.

    Raises:
        CheckpointError: there is no log.
        DeviceError: no space, or no right to write; the old table stays.
    """
    rows = [_flat(event) for event in read_events(log) if event["event"] in ("step", "evaluate")]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(table, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes `text` so that the file is either the old or the new one, never half of it.

    A file name in it that is not UTF-8 is written as JSON writes it ("\\udc80"), and reads back.

    Raises:
        DeviceError: no space, or no right to write; the old file stays.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DeviceError(
            f"cannot write {path}: {error.strerror}; free some space or choose another folder"
        ) from error


def write_json(path: Path, value: Json) -> None:
    """Writes `value`, as `write_text` does; values that are not finite become text.

    Raises:
        DeviceError: no space, or no right to write; the old file stays.
    """
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Json:
    """Returns what `write_json` wrote.

    Raises:
        CheckpointError: the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; give a complete run directory") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as JSON ({error}); restore it or train again"
        ) from error


def write_record(directory: RunDirectory, record: RunRecord) -> None:
    """Writes the record of a finished run."""
    write_json(directory.record, asdict(record))


def read_record(directory: RunDirectory) -> RunRecord:
    """Returns the record of a finished run.

    Raises:
        CheckpointError: the run has not finished, or its record is broken.
    """
    if not directory.record.is_file():
        raise CheckpointError(
            f"{directory.path} has no record.json: the run did not finish; "
            f"continue it with `vertebra resume {directory.path}`"
        )
    data: dict[str, Json] = read_json(directory.record)
    try:
        for name in ("figures", "selection"):
            data[name] = {key: float(value) for key, value in data[name].items()}
        for name in ("resumed_at", "quarantined"):
            data[name] = tuple(data[name])
        return RunRecord(**data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{directory.record} is no run record ({error}); restore it or train again"
        ) from error


def _ends_with_newline(file: BinaryIO) -> bool:
    """Returns whether the last byte of a file, which is not empty, is a newline."""
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _finite(value: Json) -> Json:
    """Returns the value with every NaN and infinity as text: JSON has neither."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _flat(value: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """Returns nested dicts as one, keys joined by dots."""
    row: dict[str, Json] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            row.update(_flat(item, f"{prefix}{key}."))
        else:
            row[prefix + key] = item
    return row
