"""One phase of a run while it trains: its training, who watches it, how it is saved and
restored."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from vertebra.contracts import Classifier
from vertebra.engine import checkpoint
from vertebra.engine.clock import Clock
from vertebra.engine.distributed import World
from vertebra.engine.evaluate import evaluate
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.loop import train
from vertebra.engine.observers import Logger, Refusals, Saver, Selector, View
from vertebra.engine.pace import Pace
from vertebra.engine.state import collect, restore
from vertebra.recipes.judge import judged
from vertebra.recipes.materials import build_training, evaluation_batches, training_batches
from vertebra.recipes.prepare import Prepared
from vertebra.recipes.teachers import guide
from vertebra.records import EventLog, Json, RunDirectory

LOGGED_STEPS = 1000
"""A phase writes about this many step events, whatever its length."""


@dataclass(frozen=True)
class Session:
    """Where a run goes on and who watches it; one that was interrupted has several."""

    directory: RunDirectory
    device: torch.device
    world: World
    view: View | None
    interrupts: Interrupts
    clock: Clock


class PhaseRun:
    """Phase number `place`, to be trained from its start or from where a checkpoint left it.

    model: is trained; begins with the weights of the phase before.
    pace:  of the phases before.
    """

    def __init__(
        self, prepared: Prepared, place: int, session: Session, *, model: Classifier, pace: Pace
    ) -> None:
        self._prepared = prepared
        self._place = place
        self._session = session
        self._start = 0
        self._log = EventLog(session.directory.metrics)
        materials = prepared.materials[place]
        self.training = build_training(
            prepared.recipe,
            prepared.recipe.phases[place],
            model,
            images=len(materials.train),
            device=session.device,
            world=session.world,
            earlier_steps=sum(map(prepared.steps, range(place))),
            guidance=guide(prepared.recipe.phases[place], prepared.classes, device=session.device),
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
            self._prepared.materials[self._place],
            self.training,
            start=self._start,
        )
        watchers = [
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
        split = self._prepared.materials[self._place].splits.minival
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
