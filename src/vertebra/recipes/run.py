"""Runs a recipe: trains, selects, reports, and leaves a run directory behind."""

from dataclasses import asdict
from pathlib import Path

from vertebra.contracts import Classifier
from vertebra.engine import checkpoint
from vertebra.engine.clock import Clock
from vertebra.engine.distributed import World, joined
from vertebra.engine.environment import describe
from vertebra.engine.heap import give_back
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.loop import Training
from vertebra.engine.memory import peak_memory_mb
from vertebra.engine.observers import View
from vertebra.engine.pace import Pace
from vertebra.errors import CheckpointError
from vertebra.methods.fine_tuning import backbone_of
from vertebra.models.pretrained import PretrainedReport
from vertebra.models.shelf import title
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.judge import judge
from vertebra.recipes.materials import evaluation_batches
from vertebra.recipes.phase_run import PhaseRun
from vertebra.recipes.prepare import Prepared, prepare
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.session import Session
from vertebra.recipes.start import load_start
from vertebra.records import (
    EventLog,
    Json,
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


class _Run:
    """One run while it goes on."""

    def __init__(self, prepared: Prepared, directory: RunDirectory, view: View | None) -> None:
        self.prepared = prepared
        self.directory = directory
        self.view = view
        self.clock = Clock()

    def go(self, saved: checkpoint.Checkpoint | None, *, is_new: bool) -> RunRecord | None:
        """Trains every phase that is not done, then reports."""
        recipe = self.prepared.recipe
        with Interrupts() as interrupts:
            with joined(recipe.execution.resolve().type) as world:
                recipe.check(processes=world.size)
                device = recipe.execution.resolve(local_rank=world.local_rank)
                recipe.execution.settle(device)
                view = self.view if world.leads else None
                session = Session(self.directory, device, world, view, interrupts, self.clock)
                # before anything is written: the weights that it starts from may be missing
                model, start = self._first_model(saved)
                if is_new:
                    self._open(session)
                else:
                    self._reopen(saved, session)
                if start is not None:
                    self._note_start(start, session)
                phase = self._train(model, saved, session)
            # after all have parted: the others need not wait for what one does alone
            return self._report(phase) if world.leads else None

    def _first_model(
        self, saved: checkpoint.Checkpoint | None
    ) -> tuple[Classifier, PretrainedReport | None]:
        """Returns the model as it starts; what was loaded into it, unless a checkpoint will be."""
        model, recipe = self.prepared.new_model(), self.prepared.recipe
        if recipe.pretrained is None or saved is not None:
            return model, None
        classes = self.prepared.classes
        return model, load_start(model, recipe, recipe.pretrained, classes=classes)

    def _note_start(self, start: PretrainedReport, session: Session) -> None:
        if session.view is not None:
            for note in start.notes:
                session.view.message(note)
        if session.world.leads:
            values = {"source": start.source, "licence": start.licence}
            EventLog(self.directory.metrics).append("start", step=0, epoch=0.0, values=values)

    def _open(self, session: Session) -> None:
        """Writes what is known before training into a new directory."""
        place = self.directory.require_free()
        session.world.wait()  # every process looks before the first one writes
        if not session.world.leads:
            return
        write_json(place.classes, self.prepared.classes)
        write_json(place.preprocess, asdict(self.prepared.recipe.phases[-1].data.preprocess))
        write_json(place.environment, self._environment(session))
        write_json(place.recipe, to_data(self.prepared.recipe))

    def _reopen(self, saved: checkpoint.Checkpoint | None, session: Session) -> None:
        """Notes in the log that the run goes on, and says what may make it another one."""
        place, prepared = self.directory, self.prepared
        classes = read_json(place.classes)
        if classes != list(prepared.classes):
            raise CheckpointError(
                f"the run knows the classes {classes}, the data now hold "
                f"{list(prepared.classes)}; restore the data or train anew"
            )
        if not session.world.leads:
            return
        phase, done = (int(saved.state["phase"]), int(saved.state["step"])) if saved else (0, 0)
        step = done + sum(map(prepared.steps, range(phase)))
        epoch = done / prepared.steps_per_epoch(phase)
        EventLog(place.metrics).append("resume", step=step, epoch=epoch, values={})
        if session.view is None:
            return
        session.view.message(f"continues after step {step}")
        before = read_json(place.environment)
        for name, now in self._environment(session).items():
            if before.get(name) != now:
                session.view.message(
                    f"not bitwise the same run: {name} was {before.get(name)}, is {now}"
                )

    def _environment(self, session: Session) -> dict[str, Json]:
        """Returns what has to stay as it is for a resumed run to be the same to the bit."""
        described = describe(session.device, processes=session.world.size)
        return {**described, "images": self.prepared.digest}

    def _train(
        self, model: Classifier, saved: checkpoint.Checkpoint | None, session: Session
    ) -> PhaseRun:
        """Trains the phases, each from the weights of the one before; returns the last one."""
        prepared, first = self.prepared, int(saved.state["phase"]) if saved else 0
        last = len(prepared.recipe.phases) - 1
        if session.view is not None:
            session.view.start(prepared.total_steps, prepared.steps_per_epoch(last))
        phase = PhaseRun(prepared, first, session, model=model, pace=Pace())
        if saved is not None:
            phase.restore(saved)
        phase.train()
        for place in range(first + 1, last + 1):
            phase = self._phase(place, session, before=phase)
            phase.train()
        session.world.wait()
        return phase

    def _phase(self, place: int, session: Session, *, before: PhaseRun) -> PhaseRun:
        model, left = self.prepared.new_model(place), before.training.deployable()
        match self.prepared.recipe.phases[place].takes:
            case "model":
                model.load_state_dict(left.state_dict())
            case "backbone":
                model.backbone.load_state_dict(backbone_of(left).state_dict())
            case "nothing":
                pass
        pace = before.logger.pace
        return PhaseRun(self.prepared, place, session, model=model, pace=pace, left=left)

    def _report(self, phase: PhaseRun) -> RunRecord:
        """Judges the selected weights on the split that nothing has seen, and writes the files."""
        place, prepared, training = self.directory, self.prepared, phase.training
        give_back(training.device)
        best = checkpoint.load(place.checkpoints / "best")
        training.deployable().load_state_dict(best.tensors["model"])
        evaluation = self._judge(training)
        write_evaluation(place.evaluation, evaluation)
        pace = phase.logger.pace
        refused = {str(event["name"]) for event in read_events(place.metrics, "refuse")}
        seconds = self.clock.seconds
        EventLog(place.metrics).append(
            "finish",
            step=prepared.total_steps,
            epoch=training.steps / training.steps_per_epoch,
            values={"seconds": seconds},
        )
        record = RunRecord(
            name=prepared.recipe.name,
            model=title(prepared.recipe.model),
            pretrained=self._pretrained(),
            recipe=to_data(prepared.recipe),
            environment=read_json(place.environment),
            started=self.clock.started,
            train_seconds=pace.seconds,
            total_seconds=seconds,
            steps=prepared.total_steps,
            epochs=prepared.epochs,
            best_step=best.state["best_step"],
            reported_split=evaluation.split,
            figures=evaluation.figures,
            selection=best.state["best"],
            parameters=prepared.cost.parameters,
            macs=prepared.cost.macs,
            images_per_second=pace.images_per_second,
            data_wait_share=pace.data_wait_share,
            peak_memory_mb=peak_memory_mb(training.device),
            data=prepared.materials[-1].account(),
            resumed_at=tuple(int(each["step"]) for each in read_events(place.metrics, "resume")),
            quarantined=tuple(sorted(refused)),
        )
        write_table(place.metrics, place.table)
        write_record(place, record)
        write_report(place)
        return record

    def _pretrained(self) -> Json:
        """Returns source and licence of the weights that the run started from, None for fresh
        ones."""
        starts = [*read_events(self.directory.metrics, "start")]
        return {name: starts[-1][name] for name in ("source", "licence")} if starts else None

    def _judge(self, training: Training) -> Evaluation:
        splits = self.prepared.materials[-1].splits
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
