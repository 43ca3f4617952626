"""What a measurement found of one model, with all that is needed to find it again."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from vertebra.bench.latency import Spread
from vertebra.bench.operators import KINDS
from vertebra.bench.settings import BenchSettings
from vertebra.errors import CheckpointError
from vertebra.records import Json

Timing = TypeVar("Timing")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of a call: quartiles and 95th percentile over all calls.

    ratio: to the first model of the measurement, over the rounds; below 1 is faster. None where
           that one failed.
    """

    batch_size: int
    calls: int
    p25_ms: float
    p50_ms: float
    p75_ms: float
    p95_ms: float
    ratio: Spread | None = None


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Images a second by the median call, at the batch size that gives most.

    ratio: to the first model of the measurement, over the rounds; above 1 is faster.
    """

    batch_size: int
    calls: int
    images_per_s: float
    ratio: Spread | None = None


@dataclass(frozen=True, kw_only=True)
class BenchRecord:
    """One model, measured; a figure that could not be taken is None, and `failure` says why.

    machine:             versions and device.
    measured:            when, as ISO 8601 in UTC.
    macs, activations:   as in `Operators`, of one image.
    inference_memory_mb: peak of a call of `settings.call_size` images.
    training_memory_mb:  peak of a step of `settings.step_size` images.
    """

    model: str
    image_size: int
    settings: BenchSettings
    machine: Mapping[str, Json]
    measured: str
    parameters: int | None = None
    macs: Mapping[str, int] | None = None
    activations: int | None = None
    inference_memory_mb: float | None = None
    training_memory_mb: float | None = None
    latency: Latency | None = None
    throughput: Throughput | None = None
    failure: str | None = None

    def figures(self) -> dict[str, float | None]:
        """Returns every number by name, in the order of a table; None was not measured."""
        macs, latency, throughput = self.macs, self.latency, self.throughput
        return {
            "parameters": self.parameters,
            "macs": None if macs is None else sum(macs.values()),
            **{f"macs_{kind}": None if macs is None else macs[kind] for kind in KINDS},
            "activations": self.activations,
            "inference_memory_mb": self.inference_memory_mb,
            "training_memory_mb": self.training_memory_mb,
            "latency_ms": latency and latency.p50_ms,
            "latency_p25_ms": latency and latency.p25_ms,
            "latency_p75_ms": latency and latency.p75_ms,
            "latency_p95_ms": latency and latency.p95_ms,
            "latency_ratio": latency and latency.ratio and latency.ratio.p50,
            "images_per_s": throughput and throughput.images_per_s,
            "best_batch_size": throughput and throughput.batch_size,
            "throughput_ratio": throughput and throughput.ratio and throughput.ratio.p50,
        }


def to_data(record: BenchRecord) -> Json:
    """Returns the record as JSON has it."""
    return asdict(record)


def from_data(data: Json) -> BenchRecord:
    """Returns the record that `to_data` described.

    Raises:
        CheckpointError: a part is missing, or is another's.
    """
    try:
        given = cast("dict[str, Any]", dict(data))
        given["settings"] = BenchSettings(**given["settings"])
        given["latency"] = _with_ratio(Latency, given["latency"])
        given["throughput"] = _with_ratio(Throughput, given["throughput"])
        return BenchRecord(**given)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"this is no bench record ({error}); write it again with `vertebra bench --json`"
        ) from error


def _with_ratio(kind: Callable[..., Timing], data: Json) -> Timing | None:
    if data is None:
        return None
    ratio = data["ratio"]
    return kind(**{**data, "ratio": None if ratio is None else Spread(**ratio)})


def to_csv(records: Sequence[BenchRecord]) -> str:
    """Returns a table with a row a record: model, figures, settings, machine, date, failure."""
    rows = [
        {
            "model": each.model,
            "image_size": each.image_size,
            **each.figures(),
            **asdict(each.settings),
            "device_name": each.machine.get("device"),
            "torch": each.machine.get("torch"),
            "measured": each.measured,
            "failure": each.failure,
        }
        for each in records
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
