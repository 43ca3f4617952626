"""Runs a recipe: trains, selects, reports, and leaves a run directory behind."""

import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from vertebra.engine import checkpoint
from vertebra.engine.distributed import World, joined
from vertebra.engine.environment import describe
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.memory import peak_memory_mb
from vertebra.engine.observers import View
from vertebra.errors import CheckpointError
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.judge import judge
from vertebra.recipes.materials import evaluation_batches
from vertebra.recipes.phase_run import PhaseRun
from vertebra.recipes.prepare import Prepared, prepare
from vertebra.recipes.recipe import Recipe
from vertebra.records import (
    EventLog,
    RunDirectory,
    RunRecord,
    read_events,
    read_json,
    write_json,
    write_record,
    write_table,
)
from vertebra.report.evaluation import Evaluation, write_evaluation
from vertebra.report.page import write_report


def run(
    recipe: Recipe,
    directory: Path | None = None,
    *,
    prepared: Prepared | None = None,
    view: View | None = None,
) -> RunRecord | None:
    """Returns the record of a new run in `directory`, by default the next free one under runs/.

    Of several processes only the first gets the record and writes files; the others get None.

    Raises:
        CheckpointError: the directory already holds something.
        Interrupted: a signal arrived; `resume` continues the same run.
        NonFiniteError: the loss became NaN or infinite.
    """
    prepared = prepared or prepare(recipe)
    source = recipe.phases[-1].data.source
    place = RunDirectory(directory) if directory else RunDirectory.next(source)
    return _Run(prepared, place, view).go(None, is_new=True)


def resume(directory: Path, *, view: View | None = None) -> RunRecord | None:
    """Returns the record of a run that was interrupted, continued to its end.

    On a CPU, with the same versions and number of processes, the weights are bitwise those of an
    uninterrupted run; the view is told of what differs.

    Raises:
        CheckpointError: there is no run, it has finished, or its checkpoint is broken.
    """
    place = RunDirectory(directory).require()
    if place.record.is_file():
        raise CheckpointError(
            f"{directory} has finished; see it with `vertebra report {directory}` or train anew"
        )
    recipe: Recipe = from_data(Recipe, read_json(place.recipe))
    last = place.checkpoints / "last"
    saved = checkpoint.load(last) if checkpoint.exists(last) else None
    return _Run(prepare(recipe), place, view).go(saved, is_new=False)


@dataclass
class _Run:
    """One run while it goes on."""

    prepared: Prepared
    directory: RunDirectory
    view: View | None
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    began: float = field(default_factory=time.perf_counter)
    quarantined: dict[str, str] = field(default_factory=dict)

    def go(self, saved: checkpoint.Checkpoint | None, *, is_new: bool) -> RunRecord | None:
        """Trains every phase that is not done, then reports."""
        recipe = self.prepared.recipe
        kind = recipe.execution.resolve().type
        with joined(kind) as world, Interrupts() as interrupts:
            recipe.check(processes=world.size)
            device = recipe.execution.resolve(local_rank=world.local_rank)
            if world.leads and is_new:
                self._open(device, world)
            elif world.leads:
                self._reopen(saved, device, world)
            world.wait()
            return self._train(saved, interrupts, device, world)

    def _train(
        self,
        saved: checkpoint.Checkpoint | None,
        interrupts: Interrupts,
        device: torch.device,
        world: World,
    ) -> RunRecord | None:
        first = int(saved.state["phase"]) if saved else 0
        last = len(self.prepared.recipe.phases) - 1
        if self.view is not None and world.leads:
            total = sum(self.prepared.steps(place) for place in range(last + 1))
            self.view.start(total, self.prepared.steps_per_epoch(last))
        phase: PhaseRun | None = None
        for place in range(first, last + 1):
            phase = PhaseRun(
                self.prepared,
                place,
                directory=self.directory,
                device=device,
                world=world,
                view=self.view,
            )
            if saved is not None and place == first:
                phase.restore(saved)
            phase.train(interrupts)
            if phase.batches is not None:
                self.quarantined.update(phase.batches.quarantined)
            # the next phase goes on with these weights
            self.prepared.model.load_state_dict(phase.training.deployable().state_dict())
        world.wait()
        return self._report(phase) if phase is not None and world.leads else None

    def _open(self, device: torch.device, world: World) -> None:
        """Writes what is known before training into a new directory."""
        place, prepared = self.directory, self.prepared
        if place.path.is_file() or (place.path.is_dir() and any(place.path.iterdir())):
            raise CheckpointError(
                f"{place.path} is not an empty folder; choose another one, or continue the run in "
                f"it with `vertebra resume {place.path}`"
            )
        write_json(place.classes, prepared.classes)
        write_json(place.preprocess, asdict(prepared.recipe.phases[-1].data.preprocess))
        write_json(place.environment, describe(device, processes=world.size))
        write_json(place.recipe, to_data(prepared.recipe))

    def _reopen(
        self, saved: checkpoint.Checkpoint | None, device: torch.device, world: World
    ) -> None:
        """Notes in the log that the run goes on, and says what may make it another one."""
        place = self.directory
        classes = read_json(place.classes)
        if classes != list(self.prepared.classes):
            raise CheckpointError(
                f"the run knows the classes {classes}, the data now hold "
                f"{list(self.prepared.classes)}; restore the data or train anew"
            )
        step = int(saved.state["step"]) if saved else 0
        if saved:
            step += sum(self.prepared.steps(i) for i in range(int(saved.state["phase"])))
        EventLog(place.metrics).append("resume", step=step, epoch=0.0, values={})
        before, now = read_json(place.environment), describe(device, processes=world.size)
        changed = [name for name in now if before.get(name) != now[name]]
        if self.view is not None:
            self.view.message(f"continues after step {step}")
            for name in changed:
                self.view.message(
                    f"not bitwise the same run: {name} was {before.get(name)}, is {now[name]}"
                )

    def _report(self, phase: PhaseRun) -> RunRecord:
        """Judges the selected weights on the split that nothing has seen, and writes the files."""
        place, prepared, training = self.directory, self.prepared, phase.training
        best = checkpoint.load(place.checkpoints / "best")
        training.deployable().load_state_dict(best.tensors["model"])
        evaluation = self._judge(phase)
        write_evaluation(place.evaluation, evaluation)
        logger = phase.logger
        record = RunRecord(
            name=prepared.recipe.name,
            recipe=to_data(prepared.recipe),
            environment=read_json(place.environment),
            started=self.started,
            train_seconds=logger.seconds,
            total_seconds=time.perf_counter() - self.began,
            steps=training.earlier_steps + training.steps,
            epochs=training.steps / training.steps_per_epoch,
            best_step=phase.selector.best_step,
            reported_split=evaluation.split,
            figures=evaluation.figures,
            selection=phase.selector.best,
            parameters=prepared.cost.parameters,
            macs=prepared.cost.macs,
            images_per_second=logger.images / logger.seconds,
            data_wait_share=logger.data_seconds / logger.seconds,
            peak_memory_mb=peak_memory_mb(training.device),
            data=prepared.materials[-1].survey.account(),
            resumed_at=tuple(int(each["step"]) for each in read_events(place.metrics, "resume")),
            quarantined=tuple(sorted(self.quarantined)),
        )
        write_table(place.metrics, place.table)
        write_record(place, record)
        write_report(place)
        return record

    def _judge(self, phase: PhaseRun) -> Evaluation:
        splits = self.prepared.materials[-1].splits
        training = phase.training
        recipe = self.prepared.recipe
        batches = evaluation_batches(
            recipe, recipe.phases[-1], splits.report, device=training.device, world=World()
        )
        return judge(
            training.deployable(),
            splits.report,
            batches,
            name=splits.report_name,
            device=training.device,
            execution=training.execution,
        )
