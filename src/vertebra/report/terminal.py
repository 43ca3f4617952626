"""What a user sees in a terminal before and after a run.

Text from files and folders goes in as `Text`, never as rich's markup: a class may be called
"[red]".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from vertebra.records import Json, RunRecord
from vertebra.report import quantities as say

_MOST_CLASSES = 8
_PIPE_WIDTH = 160


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What is about to run; what was not measured is None.

    image_size: as text, "3 x 160 x 160"; execution: how it is computed, a word each; step_seconds
    and memory_mb: measured on a few steps; evaluation_seconds: a part of the total; start: the
    weights that it starts from; fitted: what was changed to suit the images, a sentence each.
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
    execution: Sequence[str]
    output: Path
    start: str | None = None
    fitted: Sequence[str] = ()
    step_seconds: float | None = None
    total_seconds: float | None = None
    evaluation_seconds: float | None = None
    memory_mb: float | None = None
    checkpoint_mb: float | None = None


def open_console(*, stderr: bool = False) -> Console:
    """Returns a console that neither colours numbers nor breaks lines that one may want to copy."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def found_table(
    data: Mapping[str, Json],
    *,
    classes: Sequence[str],
    used_as: str | None = None,
    notes: Sequence[str] = (),
    most_refused: int = 5,
) -> RenderableType:
    """Returns what each split found, used and refused, the classes, and the first refused files.

    data: as in `RunRecord.data`; used_as: how it is divided; notes: what is not used at all.
    """
    counts = _table("split", numbers=("found", "used", "refused"))
    for split, part in data.items():
        refused = len(part["refused"])
        shown = Text(say.count(refused), style="yellow" if refused else "")
        counts.add_row(_text(split), say.count(part["found"]), say.count(part["used"]), shown)
    facts = {
        "classes": class_list(classes) if classes else "none",
        "used as": used_as,
        "not used": notes,
    }
    return Group(counts, Text(), _facts(facts), *_refused(data, most_refused))


def run_plan(plan: RunPlan) -> RenderableType:
    """Returns the facts of a run before it starts."""
    size = f"{say.amount(plan.parameters)} parameters, {say.amount(plan.macs)} MACs an image"
    seconds = plan.step_seconds
    return _facts(
        {
            "recipe": plan.recipe,
            "model": f"{plan.model}: {size}",
            "starts from": plan.start,
            "images": f"{plan.image_size}, {plan.batch_size} a batch",
            "length": f"{say.number_of(plan.epochs, 'epoch')}, {say.number_of(plan.steps, 'step')}",
            "optimizer": plan.optimizer,
            "device": plan.device,
            "execution": ", ".join(plan.execution),
            "step time": None if seconds is None else f"{1000 * seconds:.4g} ms",
            "total time": _total(plan),
            "peak memory": None if plan.memory_mb is None else say.memory(plan.memory_mb),
            "checkpoint": None if plan.checkpoint_mb is None else say.memory(plan.checkpoint_mb),
            "output": str(plan.output),
            "fitted": plan.fitted,
        }
    )


def final_table(record: RunRecord, *, directory: Path, images: int | None = None) -> RenderableType:
    """Returns the figures of a finished run, what it cost, and where it lies.

    images: size of the reported split; None takes it from the record's data.
    """
    split = record.reported_split
    n = images or int(record.data.get(split, {}).get("used", 0))
    chosen_by = {name: record.selection[name] for name in [*record.selection][:1]}
    figures = _figures(split, record.figures, n) | say.figures("selection", chosen_by)
    cost = {
        "chosen step": f"{say.count(record.best_step)} of {say.count(record.steps)}",
        "training": f"{say.duration(record.train_seconds)}, {say.rate(record.images_per_second)}",
        "waiting for data": say.percent(record.data_wait_share, 1),
        "peak memory": say.memory(record.peak_memory_mb),
        "report": str(directory / "report.html"),
    }
    return _facts(figures | cost)


def figures_table(split: str, figures: Mapping[str, float], *, images: int) -> RenderableType:
    """Returns the figures of an evaluation, the first one with its 95% interval."""
    return _facts(_figures(split, figures, images))


def next_commands(*commands: str) -> RenderableType:
    """Returns what to type next, a command a line."""
    return Group(Text("Next:"), *(_text(f"  {command}", style="cyan") for command in commands))


def compare_table(
    differences: Iterable[tuple[str, Json, Json]], *, left: str, right: str
) -> RenderableType:
    """Returns the entries in which two recipes differ, a row for each path."""
    table = _table("entry", left, right)
    for path, ours, theirs in differences:
        table.add_row(_text(path), _text(_value(ours)), _text(_value(theirs)))
    return table if table.row_count else _text(f"{left} and {right} are the same")


def facts_table(values: Mapping[str, str]) -> RenderableType:
    """Returns names and what they are, a row each."""
    return _facts(values)


def names_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: int = 0
) -> RenderableType:
    """Returns a list of models or recipes; the last `numbers` columns are right-aligned."""
    split = len(columns) - numbers
    table = _table(*columns[:split], numbers=columns[split:])
    for row in rows:
        table.add_row(*(_text(str(value)) for value in row))
    return table


def class_list(classes: Sequence[str]) -> str:
    """Returns how many classes there are, and the first of them by name."""
    rest = len(classes) - _MOST_CLASSES
    shown = ", ".join(classes[:_MOST_CLASSES]) + (f", and {rest} more" if rest > 0 else "")
    return f"{len(classes)}: {shown}"


def _total(plan: RunPlan) -> str | None:
    if plan.total_seconds is None:
        return None
    evaluations = plan.evaluation_seconds
    of_it = f", {say.duration(evaluations)} of it for evaluations" if evaluations else ""
    return say.duration(plan.total_seconds) + of_it


def _figures(split: str, figures: Mapping[str, float], images: int) -> dict[str, str]:
    """Returns figures as text; leaves out a second accuracy of 1, as the top5 of 4 classes is."""
    main = next(iter(figures), "")
    told = {
        name: value
        for name, value in figures.items()
        if name == main or not (say.is_share(name) and value == 1)
    }
    texts = say.figures(split, told)
    if say.is_share(main) and images:
        interval = f"95% interval {say.interval(figures[main], images)}"
        shown = f"{split} {say.figure_name(main)}"
        texts[shown] += f", {interval} ({say.count(images)} images)"
    return texts


def _text(text: str, style: str = "") -> Text:
    return Text(say.plain(text), style=style)


def _table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(_text(name), overflow="fold")
    for name in numbers:
        table.add_column(_text(name), justify="right", no_wrap=True)
    return table


def _facts(values: Mapping[str, str | Sequence[str] | None]) -> Table:
    """Returns names and values in two columns; a list takes a line each, None is left out."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        lines = [value] if isinstance(value, str) else value or ()
        for place, line in enumerate(lines):
            table.add_row(_text(name if place == 0 else ""), _text(line))
    return table


def _refused(data: Mapping[str, Json], most: int) -> list[Text]:
    files = [(split, file) for split, part in data.items() for file in part["refused"]]
    lines = [
        _text(f"refused in {split}: {file['name']}: {file['reason']}", style="yellow")
        for split, file in files[:most]
    ]
    rest = len(files) - most
    if rest > 0:
        lines.append(
            _text(
                f"and {say.count(rest)} more refused; `vertebra check` lists them", style="yellow"
            )
        )
    return lines


def _value(value: Json) -> str:
    return say.NOTHING if value is None else str(value)
