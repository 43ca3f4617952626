"""What `vertebra bench` prints: costs, operators and times, a row for each model."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from rich.console import Group, RenderableType
from rich.text import Text

from vertebra.report import quantities as say
from vertebra.report.measured import QUANTITIES, Measured
from vertebra.report.terminal import names_table

_WIDTH = 100
_KINDS = ("convolution", "depthwise", "linear", "matmul")


def bench_tables(measured: Sequence[Measured], *, facts: Mapping[str, str]) -> RenderableType:
    """Returns the tables, how it was measured, and the models that failed with the reason."""
    told = "; ".join(f"{name} {text}" for name, text in facts.items())
    failures = [
        Text(say.plain(f"{each.name} at {each.image_size} px failed at {each.failure}"), "yellow")
        for each in measured
        if each.failure is not None
    ]
    return Group(
        _costs(measured),
        Text(),
        _operators(measured),
        Text(),
        _times(measured),
        Text(),
        *(Text(say.plain(line), "dim") for line in wrap(told, _WIDTH)),
        *failures,
    )


def _costs(measured: Sequence[Measured]) -> RenderableType:
    columns = ("model", "px", "parameters", "MACs", "activations", "memory", "training")
    rows = [
        (
            each.name,
            each.image_size,
            *(_amount(each, name) for name in ("parameters", "macs", "activations")),
            *(_memory(each, name) for name in ("inference_memory_mb", "training_memory_mb")),
        )
        for each in measured
    ]
    return names_table(columns, rows, numbers=6)


def _operators(measured: Sequence[Measured]) -> RenderableType:
    rows = [
        (each.name, each.image_size, *(_amount(each, f"macs_{kind}") for kind in _KINDS))
        for each in measured
    ]
    return names_table(("MACs by operator", "px", *_KINDS), rows, numbers=5)


def _times(measured: Sequence[Measured]) -> RenderableType:
    columns = ("latency and throughput", "px", "p50 ms", "p95 ms", "ratio", "images/s", "batch")
    names = ("latency_ms", "latency_p95_ms", "latency_ratio", "images_per_s", "best_batch_size")
    rows = [
        (each.name, each.image_size, *(_figure(each, name) for name in names)) for each in measured
    ]
    return names_table(columns, rows, numbers=6)


def _figure(each: Measured, name: str) -> str:
    return QUANTITIES[name].said(each.figure(name))


def _amount(each: Measured, name: str) -> str:
    number = each.figures.get(name)
    return say.NOTHING if number is None else say.amount(number)


def _memory(each: Measured, name: str) -> str:
    number = each.figures.get(name)
    return say.NOTHING if number is None else say.memory(number)
