"""What the commands that train print: what was found, what will run, how it goes, what came out."""

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from vertebra.data.decoded import Decoded
from vertebra.data.images import Split
from vertebra.data.resident import is_resident
from vertebra.data.views import versions
from vertebra.engine.environment import device_name
from vertebra.engine.execution import Execution
from vertebra.engine.heap import can_keep
from vertebra.engine.large_pages import can_be_large
from vertebra.engine.observers import View
from vertebra.engine.threads import thread_count
from vertebra.methods.two_views import TwoViews
from vertebra.models.pretrained import PretrainedReport
from vertebra.recipes.advise import Advice
from vertebra.recipes.codec import from_data
from vertebra.recipes.materials import Materials
from vertebra.recipes.plan import Estimate
from vertebra.recipes.prepare import Prepared
from vertebra.recipes.recipe import Data, Recipe
from vertebra.records import RunRecord
from vertebra.report import quantities as say
from vertebra.report.progress import TrainingProgress
from vertebra.report.terminal import (
    RunPlan,
    final_table,
    found_table,
    names_table,
    next_commands,
    open_console,
    run_plan,
)


def show_found(materials: Materials) -> None:
    """Prints the splits, what each found, used and refused, and how they were divided."""
    splits, source = materials.splits, materials.survey.usable
    counts = f"train {len(splits.train)}, minival {len(splits.minival)}, "
    counts += f"{splits.report_name} {len(splits.report)}: {splits.note}"
    table = found_table(
        materials.survey.account(),
        classes=materials.classes,
        used_as=counts,
        notes=source.notes,
    )
    open_console().print(table)


def show_plan(
    prepared: Prepared,
    out: Path,
    *,
    notes: tuple[str, ...] = (),
    model: str,
    start: PretrainedReport | None = None,
    estimate: Estimate | None = None,
) -> None:
    """Prints what will run, with times where some were measured, and what was fitted."""
    recipe, phase = prepared.recipe, prepared.recipe.phases[-1]
    size = phase.data.preprocess.image_size
    plan = RunPlan(
        recipe=f"{recipe.name} ({recipe.source})",
        model=model,
        start=start and f"{start.source}, licence {start.licence or 'not stated'}",
        parameters=prepared.cost.parameters,
        macs=prepared.cost.macs,
        image_size=f"{phase.data.preprocess.channels} x {size} x {size}",
        batch_size=phase.data.batch_size,
        steps=prepared.total_steps,
        epochs=prepared.epochs,
        optimizer=f"{type(phase.optimizer).__name__}, lr {phase.optimizer.lr:g}, "
        f"{type(phase.schedule).__name__.lower()}",
        device=device_name(recipe.execution.resolve()),
        execution=_execution(recipe.execution, prepared.materials[-1].train, phase.data),
        output=out,
        fitted=notes,
        step_seconds=estimate and estimate.seconds_per_step,
        total_seconds=estimate and estimate.total_seconds,
        evaluation_seconds=estimate and estimate.evaluation_seconds,
        memory_mb=estimate and estimate.peak_memory_mb,
        checkpoint_mb=estimate and estimate.checkpoint_mb,
    )
    console = open_console()
    console.print()
    console.print(run_plan(plan))
    console.print()


def _execution(execution: Execution, split: Split, data: Data) -> tuple[str, ...]:
    """Returns what was chosen for speed on this machine, and what the user has chosen."""
    device = execution.resolve()
    workers = execution.worker_count(in_memory=split.in_memory)
    stays = is_resident(split, versions(data.augment, data.preprocess, data.views))
    keeps = can_keep(device) and not execution.gradient_checkpointing
    chosen = {
        execution.precision: True,
        "channels last": execution.channels_last,
        "compiled (a minute or more in the first step)": execution.compile,
        "gradient checkpointing": execution.gradient_checkpointing,
        say.number_of(thread_count(), "thread"): device.type == "cpu",
        "freed memory kept": keeps,
        "large pages": keeps and can_be_large(),
        say.number_of(workers, "data worker"): not stays,
        "images kept decoded": isinstance(split.reader, Decoded),
        "images on the device": stays,
    }
    return tuple(name for name, holds in chosen.items() if holds)


def show_advice(advice: Advice, *more: str) -> None:
    """Prints what was measured, and why one of it is suggested; `more` are further reasons."""
    rows = [
        (
            trial.rung.title,
            why,
            say.amount(trial.macs),
            say.duration(trial.epoch),
            say.count(trial.epochs_in(advice.planned_s)),
        )
        for trial, why in advice.alternatives
    ]
    console = open_console()
    console.print()
    columns = ("measured here", "", "MACs", "an epoch", "epochs that fit")
    console.print(names_table(columns, rows, numbers=3))
    console.print(f"\nmeasuring took {say.duration(advice.measured_s)}\n\nWhy:")
    for reason in (*advice.reasons, *more):
        console.print(Text(f"  {say.plain(reason)}"))


def show_next(*commands: str) -> None:
    """Prints what to type next."""
    open_console().print(next_commands(*commands))


def show_final(record: RunRecord, out: Path) -> None:
    """Prints the figures, what the run cost, and what to type next."""
    console = open_console()
    console.print()
    console.print(final_table(record, directory=out))
    console.print()
    console.print(next_commands(*_next(record, out)))
    if record.quarantined:
        console.print(Text(f"unreadable while training: {', '.join(record.quarantined)}"))


def _next(record: RunRecord, out: Path) -> tuple[str, str]:
    """Returns what a run is for: to name classes or, where it pretrained, to learn some."""
    recipe: Recipe = from_data(Recipe, record.recipe)
    run, last = shlex.quote(str(out)), recipe.phases[-1]
    if not isinstance(last.method, TwoViews):
        return f"vertebra evaluate {run}", f"vertebra predict {run} IMAGE"
    data = shlex.quote(last.data.source) if "top1" in record.figures else "DATA"
    return f"vertebra probe {run} {data}", f"vertebra train {data} --weights {run}"


@contextmanager
def view_of(*, leads: bool, tensorboard: Path | None = None) -> Generator[View | None]:
    """Yields what shows the run's progress; nothing where another process leads.

    Raises:
        MissingExtra: TensorBoard is asked for and not installed.
    """
    if not leads:
        yield None
        return
    with TrainingProgress() as progress:
        if tensorboard is None:
            yield progress
            return
        from vertebra.engine.tensorboard import TensorBoardView

        with TensorBoardView(tensorboard, beside=progress) as both:
            yield both
