"""What the commands that train print: what was found, what will run, how it goes, what came out."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from vertebra.engine.environment import device_name
from vertebra.engine.observers import View
from vertebra.recipes.materials import Materials
from vertebra.recipes.plan import Estimate
from vertebra.recipes.prepare import Prepared
from vertebra.records import RunDirectory, RunRecord
from vertebra.report.progress import TrainingProgress
from vertebra.report.terminal import RunPlan, final_table, found_table, run_plan


def show_found(materials: Materials) -> None:
    """Prints the splits, what each found, used and refused, and how they were divided."""
    console = Console()
    splits = materials.splits
    console.print(found_table(materials.survey.account(), classes=materials.classes))
    counts = f"train {len(splits.train)}, minival {len(splits.minival)}, "
    counts += f"{splits.report_name} {len(splits.report)}"
    for line in (f"used as      {counts}: {splits.note}", *materials.survey.usable.notes):
        console.print(Text(line, style="dim"), soft_wrap=True)
    console.print()


def show_plan(
    prepared: Prepared,
    out: Path,
    *,
    notes: tuple[str, ...] = (),
    model: str,
    estimate: Estimate | None = None,
) -> None:
    """Prints what will run, with measured times where there are some, and what was fitted."""
    console = Console()
    recipe, phase = prepared.recipe, prepared.recipe.phases[-1]
    size = phase.data.preprocess.image_size
    device = recipe.execution.resolve()
    in_memory = prepared.materials[-1].splits.train.in_memory
    plan = RunPlan(
        recipe=f"{recipe.name} ({recipe.source})",
        model=model,
        parameters=prepared.cost.parameters,
        macs=prepared.cost.macs,
        image_size=f"{phase.data.preprocess.channels} x {size} x {size}",
        batch_size=phase.data.batch_size,
        steps=sum(prepared.steps(place) for place in range(len(recipe.phases))),
        epochs=sum(
            prepared.steps(i) / prepared.steps_per_epoch(i) for i in range(len(recipe.phases))
        ),
        optimizer=f"{type(phase.optimizer).__name__}, lr {phase.optimizer.lr:g}, "
        f"{type(phase.schedule).__name__.lower()}",
        device=device_name(device),
        precision=recipe.execution.precision,
        workers=recipe.execution.worker_count(in_memory=in_memory),
        output=out,
        step_seconds=estimate and estimate.seconds_per_step,
        total_seconds=estimate and estimate.total_seconds,
        memory_mb=estimate and estimate.peak_memory_mb,
        checkpoint_mb=estimate and estimate.checkpoint_mb,
    )
    console.print(run_plan(plan))
    for note in notes:
        console.print(Text(f"fitted       {note}", style="dim"), soft_wrap=True)
    console.print()


def show_final(record: RunRecord, out: Path) -> None:
    """Prints the figures, what the run cost, and what to type next."""
    console = Console()
    console.print()
    console.print(final_table(record, directory=out))
    if record.quarantined:
        console.print(Text(f"unreadable while training: {', '.join(record.quarantined)}"))


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

        with TensorBoardView(
            RunDirectory(tensorboard).path / "tensorboard", beside=progress
        ) as both:
            yield both
