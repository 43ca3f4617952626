"""The precision that suits device and network: bf16 where a step is clearly faster in it.

A GPU with bf16 instructions is taken to be faster in bf16 with every network. A CPU with them is so
with some: it multiplies matrices many times as fast, but small networks gain little and pay for the
conversions. So there a pass is measured in both.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from vertebra.bench.account import account
from vertebra.contracts import Classifier
from vertebra.engine.execution import Execution, Precision, has_bf16
from vertebra.engine.gradient_checkpointing import checkpoint_blocks
from vertebra.engine.heap import give_back
from vertebra.errors import RecipeError
from vertebra.layers.convolutions_on_cpu import overwrites_memory
from vertebra.recipes.fit import Fitted
from vertebra.recipes.materials import build_model
from vertebra.recipes.recipe import Recipe
from vertebra.uncompiled import outline

CLEAR = 1.2
"""So many times as fast has bf16 to be on a CPU: less would turn with the machine's mood."""

WORTH_MEASURING = 1e9
"""Multiply-adds of a batch from which on a CPU is measured."""

MEASURED_MACS, MEASURED_IMAGES = 8e9, 16
"""A pass that is measured has as many images as make so many multiply-adds, and no fewer than so
many images: what is small gains little from bf16 in a small batch, and much in a large one."""

PATH = "execution.precision"
"""Where a recipe has its precision."""


def fit_precision(
    recipe: Recipe,
    *,
    fixed: Collection[str] = (),
    processes: int = 1,
    others: Sequence[Recipe] = (),
) -> Fitted:
    """Returns the recipe in bf16 if that is faster here, with a sentence that says so.

    What has been asked for (`fixed`) stays, and so does fp32 for several processes on CPUs, which
    could come to different ends.

    others: recipes that are to have the same precision, whatever is faster for them; fp32 stays
            where one of them would be refused in bf16.
    """
    same = Fitted(recipe, ())
    device = recipe.execution.resolve()
    if {PATH, "execution"} & set(fixed) or recipe.execution.precision == "bf16":
        return same
    if not has_bf16(device):
        return same
    reason = "the device has instructions for it"
    if device.type == "cpu":
        if processes > 1 or recipe.execution.compile or not _may_gain(recipe):
            return same
        if not all(map(_is_allowed, others)):
            return same
        times = gain(recipe, device)
        if times < CLEAR:
            return same
        reason = f"a pass is {times:.1f} times as fast here"
    return Fitted(in_precision(recipe, "bf16"), (f"{PATH}: fp32 -> bf16, {reason}",))


def in_precision(recipe: Recipe, precision: Precision) -> Recipe:
    """Returns the recipe in another precision."""
    return replace(recipe, execution=replace(recipe.execution, precision=precision))


def check_precision(recipe: Recipe, model: Classifier) -> None:
    """Refuses what torch computes wrongly: on a CPU, the bf16 gradient of a convolution that
    strides over a map of one pixel holds what the memory held before (torch 2.15).

    Raises:
        RecipeError: the network has such maps at the size of its images.
    """
    if recipe.execution.precision == "fp32" or recipe.execution.resolve().type != "cpu":
        return
    size, coarsest = _smallest(recipe), _coarsest(model)
    if 2 * size <= coarsest:
        raise RecipeError(
            f"precision=bf16 with image_size={size} on a CPU, and a network whose maps are up to "
            f"{coarsest} times smaller: torch's gradients are wrong where a map is one pixel; use "
            f"fp32, or images of more than {coarsest // 2} px"
        )


def check_compiled(recipe: Recipe, model: Classifier) -> None:
    """Refuses to compile for a CPU what would then overwrite memory, see `overwrites_memory`;
    in training that is not compiled such convolutions go another way.

    Raises:
        RecipeError: the network has such convolutions.
    """
    execution = recipe.execution
    if not execution.compile or execution.precision == "bf16" or execution.resolve().type != "cpu":
        return
    convolutions = (each for each in model.modules() if isinstance(each, nn.Conv2d))
    if any(map(overwrites_memory, convolutions)):
        raise RecipeError(
            "compile on a CPU, and a network with strided 1x1 convolutions of fewer than 16 "
            "channels: torch's gradients of them overwrite memory; train without compile, or "
            "widen the network"
        )


def gain(recipe: Recipe, device: torch.device) -> float:
    """Returns how many times as long a pass, forward and backward, takes in fp32 as in bf16."""
    phase = recipe.phases[-1]
    preprocess = phase.data.preprocess
    count = min(phase.pass_size, max(MEASURED_IMAGES, int(MEASURED_MACS / _macs(recipe))))
    size = (preprocess.channels, *2 * (preprocess.image_size,))
    images = torch.zeros(count, *size, device=device).contiguous(
        memory_format=recipe.execution.layout
    )
    net = recipe.execution.place(build_model(recipe, 2), device).train()
    if recipe.execution.gradient_checkpointing:  # as in training: nor is there memory for more
        checkpoint_blocks(net)
    recipe.execution.settle(device)
    ways: tuple[Precision, ...] = ("fp32", "bf16")
    executions = [replace(recipe.execution, precision=way) for way in ways]
    for each in executions:  # makes what stays
        _seconds(net, images, each)
    recipe.execution.keep_memory(device)
    rounds = [[_seconds(net, images, each) for each in executions] for _ in range(3)]
    single, half = (min(times) for times in zip(*rounds[1:], strict=True))  # the first warms up
    del net, images
    give_back(device)
    return single / half


def _seconds(net: nn.Module, images: Tensor, execution: Execution) -> float:
    stepping = execution.stepping(net, images.device)
    began = time.perf_counter()
    with stepping():
        with execution.autocast(images.device):
            logits = net(images)
        logits.float().square().mean().backward()
    net.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def _smallest(recipe: Recipe) -> int:
    """Returns the smallest side of the images of all phases, in pixels."""
    return min(phase.data.preprocess.image_size for phase in recipe.phases)


def _coarsest(model: Classifier) -> int:
    """Returns how many times smaller than the images the smallest maps are."""
    return max(each.stride for each in model.backbone.maps)


def _is_allowed(recipe: Recipe) -> bool:
    """Says whether a CPU may compute it in bf16, see `check_precision`."""
    return 2 * _smallest(recipe) > _coarsest(_outline(recipe))


def _may_gain(recipe: Recipe) -> bool:
    """Says whether a CPU may compute it in bf16, and there is enough to compute."""
    if not _is_allowed(recipe):
        return False
    return recipe.phases[-1].pass_size * _macs(recipe) >= WORTH_MEASURING


def _macs(recipe: Recipe) -> int:
    """Returns the multiply-adds of an image, in the last phase."""
    preprocess = recipe.phases[-1].data.preprocess
    size, channels = preprocess.image_size, preprocess.channels
    return account(_outline(recipe), image_size=size, in_channels=channels).macs


def _outline(recipe: Recipe) -> Classifier:
    """Returns the recipe's network without weights."""
    with outline():
        return build_model(recipe, 2)
