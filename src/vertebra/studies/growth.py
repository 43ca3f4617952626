"""How a network grows: by EfficientNet's compound rule, or with images that grow slowly.

Source: EfficientNet (2019), section 3.3 and table 8's sizes (compound); Revisiting ResNets (2021),
section 6, strategy 2, and section 7.2 (slow; EfficientNet-RS and its magnitudes of RandAugment).
Differs: the papers give no rule for "slowly". Here the side grows with a power of compound's, its
square root by default, and depth takes what that saves; what whole blocks leave over goes to width.
Members are built by the exact powers, not by EfficientNet's table. The magnitudes hold for both
rules, so that these differ in their sizes alone.

    phi     compound: depth x width x side        slow: the same multiply-adds
    0       1   x 1   x 1                         1    x 1    x 1
    1       1.2 x 1.1 x 1.15                      more x rest x 1.15 ** 0.5
    2       1.2 ** 2 x 1.1 ** 2 x 1.15 ** 2       more x rest x 1.15
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from vertebra.errors import RecipeError
from vertebra.models.shelf import title
from vertebra.models.specs import network_in
from vertebra.models.timm import TimmSpec
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.studies.axes import with_size

DEPTH, WIDTH, SIDE = 1.2, 1.1, 1.15
"""What a step of the compound rule multiplies."""

DEPTH_STEP, WIDTH_STEP = 0.1, 0.02
"""How finely the slow rule tries multipliers, in those of the base."""

DEPTH_REACH, WIDTH_REACH = 1.5, 1.25
"""How far it tries, in what the budget would allow if operations grew in proportion."""

EFFICIENTNET_PX = (224, 240, 260, 300, 380, 456, 528, 600)
"""Sides of the images of EfficientNet-B0 to B7."""

Rule: TypeAlias = Literal["base", "compound", "slow"]

CountMacs: TypeAlias = Callable[[Recipe], int]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How far and how the members grow.

    members:    phi goes from 0 to members - 1.
    slowness:   the slow rule's power of compound's side, in [0, 1): 0 keeps the images, 1 would be
                compound.
    step_px:    sides are multiples of it: compound's nearest, the slow ones rounded down.
    magnitudes: of RandAugment for EfficientNets by native side, (up to px, magnitude), the last one
                without an end; empty leaves what the recipe says.
    """

    members: int = 4
    slowness: float = 0.5
    step_px: int = 4
    magnitudes: tuple[tuple[float, float], ...] = ((224, 10), (320, 15), (float("inf"), 20))

    def __post_init__(self) -> None:
        if self.members < 2:
            raise RecipeError(f"members={self.members}; give at least 2, the base and one more")
        if not 0 <= self.slowness < 1:
            raise RecipeError(f"slowness={self.slowness:g}; give a power in [0, 1), such as 0.5")
        if self.step_px < 1:
            raise RecipeError(f"step_px={self.step_px}; give at least 1 pixel")

    def side(self, px: float) -> int:
        """Returns the nearest side that is taken."""
        return max(1, int(px / self.step_px + 0.5)) * self.step_px

    def side_within(self, px: float) -> int:
        """Returns the largest side that is taken and not above `px`."""
        return max(1, int(px / self.step_px)) * self.step_px


class Member(NamedTuple):
    """A network of one rule; phi 0 is the base of both."""

    rule: Rule
    phi: int
    recipe: Recipe


def parse_magnitudes(text: str) -> tuple[tuple[float, float], ...]:
    """Returns "10@224,15@320,20" as `Growth` has it; "none" is empty.

    Raises:
        RecipeError: it is not written so, or the sides do not rise.
    """
    if text == "none":
        return ()
    pairs = [each.partition("@") for each in text.split(",")]
    try:
        found = tuple((float(px or "inf"), float(magnitude)) for magnitude, _, px in pairs)
    except ValueError:
        found = ()
    sides = [px for px, _ in found]
    if not found or sides != sorted(set(sides)) or sides[-1] != float("inf"):
        raise RecipeError(f"magnitudes={text!r}; write them as 10@224,15@320,20, or none")
    return found


def grown(base: Recipe, growth: Growth, *, count_macs: CountMacs) -> Iterator[Member]:
    """Yields the base, then for each phi the compound member and the slow one of its cost.

    A slow member that came out as the compound one is left out.

    Raises:
        RecipeError: the network can grow by neither rule.
    """
    _, network = network_in(base.model)
    if isinstance(network, TimmSpec):
        yield from _efficientnets(base, network.name, growth)
        return
    yield Member("base", 0, base)
    for phi in range(1, growth.members):
        compound = _compound(base, phi, growth)
        budget = count_macs(compound)
        yield Member("compound", phi, compound)
        slow = _slow(base, phi, growth, budget=budget, count_macs=count_macs)
        # multipliers that differ may round to the same channels and blocks
        if (image_size(slow), count_macs(slow)) != (image_size(compound), budget):
            yield Member("slow", phi, slow)


def image_size(recipe: Recipe) -> int:
    """Returns the side of the images that the network sees."""
    return recipe.phases[-1].data.preprocess.image_size


def _compound(base: Recipe, phi: int, growth: Growth) -> Recipe:
    sized = _times(base, depth=DEPTH**phi, width=WIDTH**phi)
    return _at(sized, growth.side(image_size(base) * SIDE**phi))


def _slow(base: Recipe, phi: int, growth: Growth, *, budget: int, count_macs: CountMacs) -> Recipe:
    """Returns the deepest network within the budget, then as wide as that allows."""
    side = growth.side_within(image_size(base) * SIDE ** (growth.slowness * phi))
    start = _at(base, max(side, image_size(base)))
    left = budget / count_macs(start)
    depth = _largest(
        lambda factor: count_macs(_times(start, depth=factor)) <= budget,
        step=DEPTH_STEP,
        most=DEPTH_REACH * left,
    )
    deep = _times(start, depth=depth)
    left = budget / count_macs(deep)
    width = _largest(
        lambda factor: count_macs(_times(deep, width=factor)) <= budget,
        step=WIDTH_STEP,
        most=WIDTH_REACH * left**0.5,
    )
    return _times(deep, width=width)


def _at(recipe: Recipe, side: int) -> Recipe:
    """Returns the recipe with images of this side; all else of the network stays the base's, its
    stem too."""
    places = range(len(recipe.phases))
    return vary(recipe, {f"phases.{place}.data.preprocess.image_size": side for place in places})


def _times(recipe: Recipe, *, depth: float = 1.0, width: float = 1.0) -> Recipe:
    """Returns the recipe with its network so many times as deep and wide; 1 leaves it as it is."""
    network: Any = network_in(recipe.model).spec
    missing = [name for name in ("width", "depth") if not hasattr(network, name)]
    if missing:
        raise RecipeError(
            f"{title(recipe.model)} has no {missing[0]} to vary; choose a network that has, as "
            f"resnet50 or resnetrs50, or timm/efficientnet_b0"
        )
    return with_size(
        recipe,
        depth=None if depth == 1 else round(network.depth * depth, 4),
        width=None if width == 1 else round(network.width * width, 4),
    )


def _largest(fits: Callable[[float], bool], *, step: float, most: float) -> float:
    """Returns the largest of 1, 1 + step, ... up to about `most` that fits; 1 is known to.

    What is larger than one that does not fit does not fit either: it halves its way.
    """
    low, high = 0, max(1, int((most - 1) / step) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(1 + middle * step) else (low, middle)
    return 1 + low * step


def _efficientnets(base: Recipe, name: str, growth: Growth) -> Iterator[Member]:
    """Yields timm's members from the named one on, each at compound's side and at the slow one."""
    found = re.fullmatch(r"((?:tf_)?efficientnet_b)([0-7])(?:\..+)?", name)
    if found is None:
        raise RecipeError(
            f"timm/{name} has no width and depth to vary; choose timm/efficientnet_b0, or a "
            f"network of ours, as resnet50 or resnetrs50"
        )
    first = int(found[2])
    if first + growth.members > len(EFFICIENTNET_PX):
        raise RecipeError(
            f"members={growth.members} from timm/{name} on; there are "
            f"{len(EFFICIENTNET_PX) - first}"
        )
    here = image_size(base) / EFFICIENTNET_PX[first]
    for phi, native in enumerate(EFFICIENTNET_PX[first : first + growth.members]):
        larger = vary(base, {f"{network_in(base.model).path}.name": f"{found[1]}{first + phi}"})
        slowed = EFFICIENTNET_PX[first] ** (1 - growth.slowness) * native**growth.slowness
        compound = _at(larger, growth.side(native * here))
        side = max(image_size(base), growth.side_within(slowed * here))
        slow = _at(larger, side)
        if phi == 0:
            yield Member("base", 0, _regularised(larger, native, growth))
            continue
        yield Member("compound", phi, _regularised(compound, native, growth))
        if slow != compound:
            yield Member("slow", phi, _regularised(slow, slowed, growth))


def _regularised(recipe: Recipe, native_px: float, growth: Growth) -> Recipe:
    """Returns the recipe with the magnitude of its native side, where it has one to set."""
    changes: dict[str, float] = {}
    for place, phase in enumerate(recipe.phases):
        operations = phase.data.augment.rand_augment
        if operations is None or operations.pool != "tf" or not growth.magnitudes:
            continue
        magnitude = next(each for px, each in growth.magnitudes if native_px <= px)
        changes[f"phases.{place}.data.augment.rand_augment.magnitude"] = magnitude
    return vary(recipe, changes)
