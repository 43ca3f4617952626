"""Why a network and a length are suggested, in sentences with their numbers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from vertebra.errors import RecipeError
from vertebra.recipes.advise_choice import Choice, Trial
from vertebra.recipes.advise_rungs import FEW_IMAGES, MANY, Rung
from vertebra.report import quantities as say

BUSY = 1.25
"""Load a core beyond which measured times are those of a busy machine."""


class Circumstances(NamedTuple):
    """What a choice depends on besides what was measured.

    seconds: that the user gives; planned: those of them that are planned for.
    images:  to learn from, `side_px` on their short side.
    """

    seconds: float
    planned: float
    images: int
    side_px: int
    updates_per_epoch: float


def reasons(choice: Choice, trials: Sequence[Trial], given: Circumstances) -> tuple[str, ...]:
    """Returns why this network, image size and length.

    trials: all that was measured, small to large.
    """
    return tuple(
        each
        for each in (
            _length(choice, given),
            _above(choice, trials, given),
            _shape(choice),
            _image_size(choice.trial.rung, given),
            _evaluations(choice),
        )
        if each
    )


def weights_would_help(images: int, command: str) -> str | None:
    """Returns that published weights would help, and how to get them; None with many images."""
    if images >= FEW_IMAGES:
        return None
    return (
        f"{say.count(images)} images are few (fewer than {say.count(FEW_IMAGES)}, Big Transfer, "
        f"section 3.3): published weights may help more than time, and none that suit are on this "
        f"machine: {command}"
    )


def busy(load: float, cores: int) -> str | None:
    """Returns a warning that times are those of a machine that has other work to do; None where it
    has little."""
    if load <= cores * BUSY:
        return None
    return (
        f"this machine was busy when it was measured (load {load:.1f} on {cores} cores): the run "
        "takes as long as it stays so"
    )


def verdict(trial: Trial, choice: Choice, given: Circumstances) -> str:
    """Returns why a network was taken or not, for a table."""
    epochs, rung = trial.epochs_in(given.planned), trial.rung
    needed = rung.epochs_needed(given.updates_per_epoch)
    if trial.rung == choice.trial.rung:
        return "chosen"
    if math.isinf(trial.epoch):
        return "does not fit into memory"
    if epochs < needed:
        return f"too large, needs {needed}"
    if epochs == rung.most:
        return f"too small, {rung.most} are enough"
    return "less work in the time"


def too_short(trial: Trial, given: Circumstances) -> RecipeError:
    """Returns the error for a time in which not even the smallest network learns."""
    title, needed = trial.rung.title, trial.rung.epochs_needed(given.updates_per_epoch)
    if math.isinf(trial.epoch):
        return RecipeError(
            f"{title} does not fit into memory; give a smaller --image-size or --model"
        )
    least = trial.seconds_of(needed) * given.seconds / given.planned
    return RecipeError(
        f"--time {as_time(given.seconds)} is too short for {say.count(given.images)} images: "
        f"{title} takes {say.duration(trial.epoch)} an epoch here and needs {needed}; "
        f"give at least {as_time(least)}"
    )


def as_time(seconds: float) -> str:
    """Returns a time at least so long, as --time takes it: "95s", "12m", "3h"."""
    for unit, size, most in (("s", 1, 120), ("m", 60, 120), ("h", 3600, 48)):
        if seconds <= size * most:
            return f"{math.ceil(seconds / size)}{unit}"
    return f"{math.ceil(seconds / 86400)}d"


def _length(choice: Choice, given: Circumstances) -> str:
    trial = choice.trial
    text = (
        f"{trial.rung.title} takes {say.duration(trial.epoch)} here for the "
        f"{say.count(given.images)} images and {say.duration(trial.evaluation)} for an evaluation"
    )
    if choice.epochs == trial.rung.most:
        return f"{text}: it gets the {choice.epochs} epochs that it is worth training for"
    return f"{text}: {choice.epochs} epochs fit into {say.duration(given.seconds)}"


def _above(choice: Choice, trials: Sequence[Trial], given: Circumstances) -> str | None:
    """Returns why not the next larger one that was measured."""
    larger = [each for each in trials if each.macs > choice.trial.macs]
    if not larger:
        return None
    trial = larger[0]
    needed = trial.rung.epochs_needed(given.updates_per_epoch)
    epochs = trial.epochs_in(given.planned)
    if math.isinf(trial.epoch) or epochs >= needed:
        return None
    title = trial.rung.title
    return f"the next larger one, {title}, would get {epochs} of the {needed} epochs it needs"


def _shape(choice: Choice) -> str | None:
    rung = choice.trial.rung
    if rung.layers is None:
        return None
    if rung.layers > 26:
        return (
            f"{choice.epochs} epochs are long enough to over-fit, where depth helps more than "
            f"width: {rung.layers} layers (ResNet-RS, strategy 1)"
        )
    if (rung.width or 1) > 0.25:
        return (
            f"in {choice.epochs} epochs width helps more than depth; from {MANY} on it is depth "
            "(ResNet-RS, strategy 1)"
        )
    return "the smallest network: with more time it is widened, and deepened for long training"


def _image_size(rung: Rung, given: Circumstances) -> str:
    if rung.image_size >= given.side_px:
        return f"images are {given.side_px} px on their short side; larger would show nothing more"
    return (
        f"{rung.image_size} of the images' {given.side_px} px: the resolution grows slowly, with "
        "the network (ResNet-RS, strategy 2)"
    )


def _evaluations(choice: Choice) -> str | None:
    every = choice.trial.evaluate_every
    return f"evaluates every {every} epochs, for a tenth of the time at most" if every > 1 else None
