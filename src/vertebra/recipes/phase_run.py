"""One phase of a run while it trains: its training, who watches it, how it is saved and
restored."""

from collections.abc import Mapping

from torch import nn

from vertebra.contracts import Classifier
from vertebra.engine import checkpoint
from vertebra.engine.evaluate import evaluate
from vertebra.engine.loop import train
from vertebra.engine.observers import Logger, MemoryKeeper, Refusals, Saver, Selector
from vertebra.engine.pace import Pace
from vertebra.engine.state import collect, restore
from vertebra.recipes.judge import judged
from vertebra.recipes.materials import build_training, evaluation_batches, training_batches
from vertebra.recipes.pool import labelled
from vertebra.recipes.prepare import Prepared
from vertebra.recipes.session import Session
from vertebra.recipes.teachers import ask, guide
from vertebra.records import EventLog, Json

LOGGED_STEPS = 1000
"""A phase writes about this many step events, whatever its length."""


class PhaseRun:
    """Phase number `place`, to be trained from its start or from where a checkpoint left it.

    model: is trained; begins with the weights of the phase before.
    pace:  of the phases before.
    left:  the model that the phase before has left; None where the run goes on after a save.
    """

    def __init__(
        self,
        prepared: Prepared,
        place: int,
        session: Session,
        *,
        model: Classifier,
        pace: Pace,
        left: nn.Module | None = None,
    ) -> None:
        self._prepared = prepared
        self._place = place
        self._session = session
        self._start = 0
        self._log = EventLog(session.directory.metrics)
        recipe = prepared.recipe
        self._materials = materials = labelled(prepared, place, session, left=left)
        phase, world = recipe.phases[place], session.world
        guidance = guide(phase, prepared.classes, device=session.device)
        self.training = build_training(
            recipe,
            phase,
            model,
            images=len(materials.train),
            device=session.device,
            world=world,
            earlier_steps=sum(map(prepared.steps, range(place))),
            guidance=ask(guidance, recipe, phase, materials.train, world=world),
        )
        self.logger = Logger(
            self.training,
            self._log,
            session.view,
            every=max(1, self.training.steps // LOGGED_STEPS),
            pace=pace,
        )
        self.selector = Selector(
            self.training,
            self._evaluate,
            directory=session.directory.checkpoints / "best",
            log=self._log,
            view=session.view,
            every=prepared.recipe.selection.every.to_steps(self.training.steps_per_epoch),
            keep=prepared.recipe.selection.keep,
        )

    def train(self) -> None:
        """Trains to the end of the phase.

        Raises:
            Interrupted: a signal arrived; everything is saved.
        """
        session, recipe = self._session, self._prepared.recipe
        batches = training_batches(
            recipe,
            recipe.phases[self._place],
            self._materials,
            self.training,
            start=self._start,
        )
        watchers = [
            MemoryKeeper(self.training),
            self.logger,
            Refusals(batches.quarantined, self._log, session.view),
            self.selector,
            Saver(self._save, session.interrupts, log=self._log, world=session.world),
        ]
        train(self.training, batches, observers=watchers, start=self._start)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Takes up the state in which `saved` left the phase."""
        restore(self.training, saved.tensors, saved.state["optimizer"])
        self.logger.restore(saved.state["logger"])
        self.selector.restore(saved.state["selector"])
        self._session.clock.restore(saved.state["clock"])
        self._start = saved.state["step"]

    def _save(self, step: int) -> None:
        tensors, numbers = collect(self.training)
        state: dict[str, Json] = {
            "phase": self._place,
            "step": step,
            "optimizer": numbers,
            "logger": self.logger.state(),
            "selector": self.selector.state(),
            "clock": self._session.clock.state(),
        }
        last = self._session.directory.checkpoints / "last"
        checkpoint.save(last, tensors=tensors, state=state)

    def _evaluate(self) -> Mapping[str, float]:
        training = self.training
        split = self._materials.splits.minival
        model, metric = judged(training.deployable(), split)
        batches = evaluation_batches(
            self._prepared.recipe,
            self._prepared.recipe.phases[self._place],
            split,
            device=training.device,
            world=training.world,
        )
        evaluate(
            model,
            batches,
            metric,
            device=training.device,
            execution=training.execution,
            world=training.world,
        )
        return metric.result()
