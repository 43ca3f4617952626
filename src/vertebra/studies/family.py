"""A recipe's network in other sizes: as wide, as deep and on as large images as one likes.

What a member costs through one axis is counted with the others left alone:

    doublings(width x2)              = log2 MACs(width x2) / MACs(as it is)  = about 2
    doublings(width x2, depth x1.5)  = the two beside each other, whose sum is nearly log2 of the
                                       whole's
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, product
from math import dist, log2
from typing import NamedTuple

from vertebra.errors import RecipeError
from vertebra.models.specs import network_in
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import vary
from vertebra.studies.axes import with_size
from vertebra.studies.costs import Cost, cost_of

FACTORS = (0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Times which a candidate is as wide, or as deep, as the recipe's network."""

FINE_PX, SMALL_PX, COARSE_PX = 8, 64, 32
"""Candidates' image sizes are multiples of the first up to the second, then of the third."""


class Size(NamedTuple):
    """A member of a family.

    width, depth: times those of the recipe's network; image_size: side in pixels.
    """

    width: float
    depth: float
    image_size: int

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"width x{self.width:g}, depth x{self.depth:g}, {self.image_size} px"


class Doublings(NamedTuple):
    """log2 of the MACs through each axis, against the recipe's network; negative for less."""

    width: float
    depth: float
    image_size: float


class Absolute(NamedTuple):
    """A network's size by its spec and its recipe."""

    width: float
    depth: float
    image_size: int


class Family:
    """The members around a recipe; each is counted once.

    classes: outputs of the head.

    Raises:
        RecipeError: the recipe starts from weights, which fit one network only.
    """

    def __init__(self, recipe: Recipe, *, classes: int) -> None:
        if recipe.pretrained is not None:
            raise RecipeError(
                f"weights={recipe.pretrained.weights!r} fit one network, and here width and depth "
                f"vary; leave --pretrained and --weights out, or `vertebra study resolution`"
            )
        self.origin = Size(1.0, 1.0, absolute(recipe).image_size)
        self.classes = classes
        self._recipe = recipe
        self._costs: dict[Size, Cost] = {}

    def recipe(self, size: Size) -> Recipe:
        """Returns the recipe with its network and images of this size; all else is as it was, the
        stem too.

        Raises:
            RecipeError: the network has no such multiplier, or it does not take this one.
        """
        wanted = self.absolute(size)
        recipe = with_size(
            self._recipe,
            width=None if size.width == 1 else wanted.width,
            depth=None if size.depth == 1 else wanted.depth,
        )
        phases = range(len(recipe.phases))
        paths = (f"phases.{place}.data.preprocess.image_size" for place in phases)
        return vary(recipe, dict.fromkeys(paths, size.image_size))

    def absolute(self, size: Size) -> Absolute:
        """Returns a member's size as its spec and its recipe have it."""
        own = absolute(self._recipe)
        width, depth = round(own.width * size.width, 6), round(own.depth * size.depth, 6)
        return Absolute(width, depth, size.image_size)

    def cost(self, size: Size) -> Cost:
        """Returns parameters and MACs; measures nothing."""
        if size not in self._costs:
            self._costs[size] = cost_of(self.recipe(size), classes=self.classes, measure=False)
        return self._costs[size]

    def doublings(self, size: Size) -> Doublings:
        """Returns what the size costs through each axis."""
        own = self.cost(self.origin).macs
        alone = (
            self.origin._replace(width=size.width),
            self.origin._replace(depth=size.depth),
            self.origin._replace(image_size=size.image_size),
        )
        return Doublings(*(log2(self.cost(each).macs / own) for each in alone))

    def candidates(
        self, sides: Sequence[int], *, on_progress: Callable[[int, int], None] | None = None
    ) -> list[Size]:
        """Returns members around the recipe's: up to 4 times as wide and deep, or a quarter.

        Those that cannot be built, and those that are the same as another, are left out.

        Raises:
            RecipeError: the network has no width or no depth to vary.
        """
        self.recipe(Size(2.0, 2.0, self.origin.image_size))
        axes = [
            [self.origin._replace(width=factor) for factor in FACTORS],
            [self.origin._replace(depth=factor) for factor in FACTORS],
            [self.origin._replace(image_size=side) for side in sides],
        ]
        for done, size in enumerate(chain(*axes), start=1):
            with suppress(RecipeError):  # it cannot be built, and is left out
                self.cost(size)
            if on_progress is not None:
                on_progress(done, sum(map(len, axes)))
        widths, depths, sizes = map(self._distinct, axes)
        return [
            Size(wide.width, deep.depth, large.image_size)
            for wide, deep, large in product(widths, depths, sizes)
        ]

    def _distinct(self, sizes: Sequence[Size]) -> list[Size]:
        """Returns the sizes along one axis that make different networks, the recipe's among them;
        of several that make the same, that nearest to the recipe's."""
        found = {self.cost(self.origin): self.origin}
        for size in sorted(sizes, key=lambda size: dist(size, self.origin)):
            if size in self._costs:
                found.setdefault(self._costs[size], size)
        return sorted(found.values())


def absolute(recipe: Recipe) -> Absolute:
    """Returns width and depth as the network's spec has them, 1 where it has none, and the side."""
    _, network = network_in(recipe.model)
    return Absolute(
        getattr(network, "width", 1.0),
        getattr(network, "depth", 1.0),
        recipe.phases[-1].data.preprocess.image_size,
    )


def image_sizes(own: int, *, largest: int) -> list[int]:
    """Returns sides from half of the recipe's to twice it, none above what the images have."""
    top = max(own, min(2 * own, largest))
    fine = range(FINE_PX, SMALL_PX, FINE_PX)
    coarse = range(SMALL_PX, top + 1, COARSE_PX)
    return sorted({own, *(side for side in (*fine, *coarse) if own / 2 <= side <= top)})
