"""What a user sees in a terminal before and after a run.

Text from files and folders goes in as `Text`, never as rich's markup: a class may be called
"[red]".
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from vertebra.records import Json, RunRecord
from vertebra.report import quantities as say

_MOST_CLASSES = 8
_MOST_REFUSED = 5
_PIPE_WIDTH = 160


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What is about to run; what was not measured is None.

    image_size: as text, "3 x 160 x 160"; step_seconds and memory_mb: measured on a few steps.
    """

    recipe: str
    model: str
    parameters: int
    macs: int
    image_size: str
    batch_size: int
    steps: int
    epochs: float
    optimizer: str
    device: str
    precision: str
    workers: int
    output: Path
    step_seconds: float | None = None
    total_seconds: float | None = None
    memory_mb: float | None = None
    checkpoint_mb: float | None = None


def open_console(*, stderr: bool = False) -> Console:
    """Returns a console that neither colours numbers nor breaks lines that one may want to copy."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def found_table(
    data: Mapping[str, Json], *, classes: Sequence[str], image_sizes: str | None = None
) -> RenderableType:
    """Returns what each split found, used and refused, the classes, and the first refused files.

    data: as in `RunRecord.data`; image_sizes: as text, "8 x 8" or "200 x 150 to 640 x 480".
    """
    counts = _table("split", numbers=("found", "used", "refused"))
    for split, part in data.items():
        refused = len(part["refused"])
        shown = Text(say.count(refused), style="yellow" if refused else "")
        counts.add_row(_text(split), say.count(part["found"]), say.count(part["used"]), shown)
    facts = _facts({"classes": _class_list(classes), "image sizes": image_sizes})
    return Group(counts, Text(), facts, *_refused(data))


def run_plan(plan: RunPlan) -> RenderableType:
    """Returns the facts of a run before it starts."""
    size = f"{say.amount(plan.parameters)} parameters, {say.amount(plan.macs)} MACs an image"
    seconds = plan.step_seconds
    return _facts(
        {
            "recipe": plan.recipe,
            "model": f"{plan.model}: {size}",
            "images": f"{plan.image_size}, {plan.batch_size} a batch",
            "length": f"{plan.epochs:g} epochs, {say.count(plan.steps)} steps",
            "optimizer": plan.optimizer,
            "device": f"{plan.device}, {plan.precision}, {plan.workers} data workers",
            "step time": None if seconds is None else f"{1000 * seconds:.4g} ms",
            "total time": None if plan.total_seconds is None else say.duration(plan.total_seconds),
            "peak memory": None if plan.memory_mb is None else say.memory(plan.memory_mb),
            "checkpoint": None if plan.checkpoint_mb is None else say.memory(plan.checkpoint_mb),
            "output": str(plan.output),
        }
    )


def final_table(record: RunRecord, *, directory: Path, images: int | None = None) -> RenderableType:
    """Returns the figures of a finished run, what it cost, where it lies, and what to type next.

    images: size of the reported split; None takes it from the record's data.
    """
    split = record.reported_split
    n = images or int(record.data.get(split, {}).get("used", 0))
    figures = say.figures(split, record.figures) | say.figures("selection", record.selection)
    main = next(iter(record.figures), "")
    if say.is_share(main) and n:
        interval = f"95% interval {say.interval(record.figures[main], n)}"
        figures[f"{split} {say.figure_name(main)}"] += f", {interval} ({say.count(n)} images)"
    cost = {
        "chosen step": f"{say.count(record.best_step)} of {say.count(record.steps)}",
        "training": f"{say.duration(record.train_seconds)}, {say.rate(record.images_per_second)}",
        "waiting for data": say.percent(record.data_wait_share, 1),
        "peak memory": say.memory(record.peak_memory_mb),
        "report": str(directory / "report.html"),
    }
    run = shlex.quote(str(directory))
    commands = [f"vertebra evaluate {run}", f"vertebra predict {run} IMAGE"]
    lines = [_text(f"  {command}", style="cyan") for command in commands]
    return Group(_facts(figures | cost), Text("\nNext:"), *lines)


def compare_table(
    differences: Iterable[tuple[str, Json, Json]], *, left: str, right: str
) -> RenderableType:
    """Returns the entries in which two recipes differ, a row for each path."""
    table = _table("entry", left, right)
    for path, ours, theirs in differences:
        table.add_row(_text(path), _text(_value(ours)), _text(_value(theirs)))
    return table if table.row_count else _text(f"{left} and {right} are the same")


def names_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: int = 0
) -> RenderableType:
    """Returns a list of models or recipes; the last `numbers` columns are right-aligned."""
    split = len(columns) - numbers
    table = _table(*columns[:split], numbers=columns[split:])
    for row in rows:
        table.add_row(*(_text(str(value)) for value in row))
    return table


def _text(text: str, style: str = "") -> Text:
    return Text(say.plain(text), style=style)


def _table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(_text(name), overflow="fold")
    for name in numbers:
        table.add_column(_text(name), justify="right", no_wrap=True)
    return table


def _facts(values: Mapping[str, str | None]) -> Table:
    """Returns names and values in two columns, without those that are None."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        if value is not None:
            table.add_row(_text(name), _text(value))
    return table


def _class_list(classes: Sequence[str]) -> str:
    rest = len(classes) - _MOST_CLASSES
    shown = ", ".join(classes[:_MOST_CLASSES]) + (f", and {rest} more" if rest > 0 else "")
    return f"{len(classes)}: {shown}"


def _refused(data: Mapping[str, Json]) -> list[Text]:
    files = [(split, file) for split, part in data.items() for file in part["refused"]]
    lines = [
        _text(f"refused in {split}: {file['name']}: {file['reason']}", style="yellow")
        for split, file in files[:_MOST_REFUSED]
    ]
    rest = len(files) - _MOST_REFUSED
    if rest > 0:
        lines.append(_text(f"and {say.count(rest)} more refused", style="yellow"))
    return lines


def _value(value: Json) -> str:
    return say.NOTHING if value is None else str(value)
