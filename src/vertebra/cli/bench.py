"""`vertebra bench`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown, words
from vertebra.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vertebra.bench.record import BenchRecord
    from vertebra.bench.settings import BenchSettings
    from vertebra.cli.subjects import Wanted
    from vertebra.records import Json
    from vertebra.report.measured import Measured


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Measure models on this machine: parameters, multiply-adds by operator, activations, peak
    memory of inference and of a training step, latency, and the best throughput.

    All are timed in turn, in rounds, so that what else the machine does hits all alike; the ratios
    are to the first one. The exit code is 2 if a model failed; the others are measured all the
    same.
    """

    models: Annotated[Positional[tuple[str, ...]], shown("[MODEL...]")] = ()
    """Models of `vertebra models`, timm/NAME, or run directories."""
    published: Annotated[bool, shown()] = False
    """Measure at the image sizes of the papers and draw their accuracies; without MODEL, every
    model that has one."""
    image_size: Annotated[int | None, shown("PX")] = None
    """Side of the images; default is each model's own."""
    batch_size: Annotated[int | None, shown("N")] = None
    """Images in a call; default is 1 for latency and memory, and the best for throughput."""
    precision: Annotated[Literal["fp32", "bf16"], shown()] = "fp32"
    """What is computed in; a training step in bf16 keeps its weights in fp32."""
    device: Annotated[str, shown("NAME")] = "auto"
    """One of auto, cpu, cuda, cuda:1, mps."""
    threads: Annotated[int | None, shown("N")] = None
    """Threads of the CPU; default is torch's own choice."""
    compile: Annotated[bool, shown()] = False
    """Compile each model first, for each batch size."""
    channels_last: Annotated[bool, shown()] = False
    """Lay images out with the channels last."""
    fused: Annotated[bool, shown()] = False
    """Fold norms into convolutions for inference."""
    optimized: Annotated[bool, shown()] = False
    """Inference in the fast form that predict and evaluate use: folded, packed, channels last, and
    checked to give the same answers; with --compile compiled with frozen weights."""
    budget: Annotated[float, shown("SECONDS")] = 5.0
    """Timed calls of each model, for latency and again for throughput."""
    csv: Annotated[Path | None, shown("FILE")] = None
    """Write a row a model."""
    json: Annotated[Path | None, shown("FILE")] = None
    """Write the records, with settings and machine."""
    report: Annotated[Path | None, shown("FILE.html")] = None
    """Write a page with the figures and a plot against each cost."""


def run(arguments: Arguments) -> int:
    """Measures, prints and writes; returns 2 where a model failed."""
    from vertebra.cli.subjects import wanted

    _check(arguments)
    models = wanted(
        arguments.models, image_size=arguments.image_size, with_figures=arguments.published
    )

    from vertebra.bench.measure import measure
    from vertebra.cli.reading import reading
    from vertebra.cli.subjects import subject
    from vertebra.engine.heap import keep_in_heap
    from vertebra.report.bench_table import bench_tables
    from vertebra.report.terminal import open_console

    settings = _settings(arguments)
    if settings.optimized:
        keep_in_heap(settings.torch_device)
    subjects = [subject(each) for each in models]
    with reading("measuring") as on_progress:
        records = measure(subjects, settings, machine=_machine(settings), on_progress=on_progress)
    shown = [_shown(*pair) for pair in zip(models, records, strict=True)]
    open_console().print(bench_tables(shown, facts=_facts(records[0])))
    _write(arguments, records, shown)
    return 2 if any(each.failure for each in records) else 0


def _check(arguments: Arguments) -> None:
    """Refuses what would fail after the measurement, and what says nothing to measure."""
    if not arguments.models and not arguments.published:
        raise RecipeError(
            "no model is named; write `vertebra bench resnet50 levit_192`, or give --published"
        )
    if arguments.published and arguments.image_size is not None:
        raise RecipeError("--published measures at the papers' sizes; leave --image-size out")
    if arguments.image_size is not None and arguments.image_size < 1:
        raise RecipeError(f"image_size={arguments.image_size}; give at least 1 pixel")
    for path in (arguments.csv, arguments.json, arguments.report):
        if path is not None and path.is_dir():
            raise RecipeError(f"{path} is a folder; name a file to write")


def _settings(arguments: Arguments) -> "BenchSettings":
    from vertebra.bench.settings import BenchSettings
    from vertebra.engine.execution import Execution

    device = Execution(device=arguments.device, precision=arguments.precision).resolve()
    return BenchSettings(
        batch_size=arguments.batch_size,
        precision=arguments.precision,
        device=str(device),
        threads=arguments.threads,
        compile=arguments.compile,
        channels_last=arguments.channels_last,
        fused=arguments.fused,
        optimized=arguments.optimized,
        budget_s=arguments.budget,
    )


def _machine(settings: "BenchSettings") -> "dict[str, Json]":
    """Returns versions and device; threads are a setting, and there is one process."""
    from vertebra.engine.environment import describe

    said = describe(settings.torch_device)
    return {name: value for name, value in said.items() if name not in ("threads", "processes")}


def _shown(each: "Wanted", record: "BenchRecord") -> "Measured":
    from vertebra.report.measured import Measured

    figure = each.figure
    return Measured(
        name=record.model,
        image_size=record.image_size,
        family=each.family,
        figures=record.figures(),
        top1=figure and figure.top1,
        source=figure and f"{figure.source}; {figure.recipe}",
        failure=record.failure,
    )


def _facts(record: "BenchRecord") -> dict[str, str]:
    """Returns how it was measured, as it stands below the tables and on the page."""
    from vertebra.report.quantities import moment, number_of

    settings = record.settings
    by_pixel = settings.channels_last or settings.optimized
    forms = {
        "fused": settings.fused,
        "optimized": settings.optimized,
        "compiled": settings.compile,
    }
    return {
        "latency and memory of": number_of(settings.call_size, "image"),
        "training memory of": f"a step of {settings.step_size} images",
        "ratios of latency to": record.model,
        "device": str(record.machine["device"]),
        "precision": settings.precision,
        "threads": str(settings.threads),
        "layout": "channels last" if by_pixel else "channels first",
        "form": ", ".join(name for name, holds in forms.items() if holds) or "as trained",
        "measured": moment(record.measured),
        "torch": str(record.machine["torch"]),
    }


def _write(
    arguments: Arguments, records: "Sequence[BenchRecord]", shown: "Sequence[Measured]"
) -> None:
    from vertebra.bench.record import to_csv, to_data
    from vertebra.records import write_json, write_text
    from vertebra.report.bench_page import bench_page

    if arguments.csv is not None:
        write_text(arguments.csv, to_csv(records))
    if arguments.json is not None:
        write_json(arguments.json, [to_data(each) for each in records])
    if arguments.report is not None:
        facts = _facts(records[0])
        page = bench_page(
            shown,
            device=facts.pop("device"),
            facts=facts,
            command=shlex.join(["vertebra", "bench", *words(arguments, positional="models")]),
            machine=records[0].machine,
        )
        write_text(arguments.report, page)
    for path in (arguments.csv, arguments.json, arguments.report):
        if path is not None:
            print(f"wrote {path}")
