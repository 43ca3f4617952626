"""One phase of a run while it trains: its training, who watches it, how it is saved and
restored."""

from collections.abc import Mapping

import torch

from vertebra.data.loader import TrainBatches
from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.engine.evaluate import evaluate
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.loop import Training, train
from vertebra.engine.observers import Logger, Saver, Selector, View
from vertebra.engine.state import collect, restore
from vertebra.recipes.materials import build_training, evaluation_batches, training_batches
from vertebra.recipes.prepare import Prepared
from vertebra.records import EventLog, Json, RunDirectory
from vertebra.tasks.classify import ClassificationMetric

LOGGED_STEPS = 1000
"""A phase writes about this many step events, whatever its length."""


class PhaseRun:
    """A phase that can be trained from its start or from where a checkpoint left it."""

    def __init__(
        self,
        prepared: Prepared,
        place: int,
        *,
        directory: RunDirectory,
        device: torch.device,
        world: World,
        view: View | None,
    ) -> None:
        self._prepared = prepared
        self._place = place
        self._phase = prepared.recipe.phases[place]
        self._materials = prepared.materials[place]
        self._directory = directory
        self._start = 0
        self.training = self._build_training(device, world)
        self.batches: TrainBatches | None = None
        log = EventLog(directory.metrics)
        self.logger = Logger(
            self.training, log, view, every=max(1, self.training.steps // LOGGED_STEPS)
        )
        self.selector = Selector(
            self.training,
            self._evaluate,
            directory=directory.checkpoints / "best",
            log=log,
            view=view,
            every=prepared.recipe.selection.every.to_steps(self.training.steps_per_epoch),
            keep=prepared.recipe.selection.keep,
        )

    def train(self, interrupts: Interrupts) -> None:
        """Trains to the end of the phase.

        Raises:
            Interrupted: a signal arrived; everything is saved.
        """
        self.batches = training_batches(
            self._prepared.recipe, self._phase, self._materials, self.training, start=self._start
        )
        saver = Saver(
            self._save, interrupts, directory=self._directory.path, world=self.training.world
        )
        watchers = [self.logger, self.selector, saver]
        train(self.training, self.batches, observers=watchers, start=self._start)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Takes up the state in which `saved` left the phase."""
        restore(self.training, saved.tensors, saved.state["optimizer"])
        self.logger.restore(saved.state["logger"])
        self.selector.restore(saved.state["selector"])
        self._start = saved.state["step"]

    def _save(self, step: int) -> None:
        tensors, numbers = collect(self.training)
        state: dict[str, Json] = {
            "phase": self._place,
            "step": step,
            "optimizer": numbers,
            "logger": self.logger.state(),
            "selector": self.selector.state(),
        }
        checkpoint.save(self._directory.checkpoints / "last", tensors=tensors, state=state)

    def _build_training(self, device: torch.device, world: World) -> Training:
        earlier = sum(self._prepared.steps(place) for place in range(self._place))
        return build_training(
            self._prepared.recipe,
            self._phase,
            self._prepared.model,
            images=len(self._materials.splits.train),
            device=device,
            world=world,
            earlier_steps=earlier,
        )

    def _evaluate(self) -> Mapping[str, float]:
        training = self.training
        split = self._materials.splits.minival
        metric = ClassificationMetric(len(split.classes))
        batches = evaluation_batches(
            self._prepared.recipe,
            self._phase,
            split,
            device=training.device,
            world=training.world,
        )
        evaluate(
            training.deployable(),
            batches,
            metric,
            device=training.device,
            execution=training.execution,
            world=training.world,
        )
        return metric.result()
