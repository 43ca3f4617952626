"""What makes one member of a family worth more than another of the same cost: the rules of a paper,
or the figures of a study.

Source: Revisiting ResNets: Improved Training and Scaling Strategies (2021), section 6.
Differs: the strategies are words there; the numbers are ours. From the smallest published network
to the largest the MACs double 4.8 times, 2.0 of them through the image size, the others through
depth: those shares make the path that a member should lie on.

    depth |        / path
          |      /   x     a member's worth: how near it lies to the path, in doublings of
          |    / x         its MACs, and how little of the budget it leaves unused
          |  /
          +----------- image size
"""

from collections.abc import Sequence
from math import dist, inf, log2
from typing import Protocol

from vertebra.errors import RecipeError
from vertebra.models.shelf import title
from vertebra.models.specs import ModelSpec, network_in
from vertebra.recipes.recipe import Recipe
from vertebra.studies.axes import with_size
from vertebra.studies.family import Absolute, Family, Size, absolute
from vertebra.studies.results import Results, Row
from vertebra.studies.scale_fits import gains, points

IMAGE_SHARE = 0.42
"""Share of the doublings through the image size in the published family."""

LONG_EPOCHS, SHORT_EPOCHS = 100, 10
"""From the first on even a million images can be over-fitted; up to the second hardly any."""

FEW_IMAGES = 100_000
"""Below it over-fitting is possible at lengths between."""


class Rule(Protocol):
    """How members are ranked."""

    @property
    def said(self) -> str:
        """Why so, in a sentence."""
        ...

    def score(self, size: Size, share: float) -> float:
        """Returns what a member is worth that takes this share of the budget, -inf for one that
        must not be taken."""
        ...

    def reason(self, size: Size, share: float) -> str:
        """Returns what speaks for it, or against."""
        ...


class ByPath:
    """The paper's strategies: the favoured axis and the image size grow, or shrink, together.

    epochs, images: of the training, which decide which axis is favoured.
    candidates:     what there is, for the image size goes no further.
    """

    def __init__(
        self, family: Family, candidates: Sequence[Size], *, epochs: float, images: int
    ) -> None:
        self._family = family
        self._favours_depth = over_fits(epochs=epochs, images=images)
        sides = [family.doublings(each).image_size for each in candidates]
        self._least, self._most = min(sides), max(sides)
        can = "can over-fit" if self._favours_depth else "can hardly over-fit"
        first, other = ("depth", "width") if self._favours_depth else ("width", "depth")
        self.said = (
            f"by the rules of ResNet-RS: {epochs:.4g} epochs of {images:,} images {can}, "
            f"so {first} before {other}; {IMAGE_SHARE:.0%} of the doublings go through the image "
            f"size, while the images have it. Rules of thumb: --try and --study rank by evidence"
        )

    def score(self, size: Size, share: float) -> float:
        """Returns minus the doublings off the path and those that are left unused."""
        return -self._off(size) + min(0.0, log2(share))

    def reason(self, size: Size, share: float) -> str:
        """Returns how far it is from the path, and what it takes."""
        return f"{self._off(size):.1f} doublings off the path, {share:.0%} of the budget"

    def _off(self, size: Size) -> float:
        own = self._family.doublings(size)
        total = sum(own)
        through_size = max(self._least, min(self._most, IMAGE_SHARE * total))
        rest = total - through_size
        path = (0.0, rest) if self._favours_depth else (rest, 0.0)
        return dist(own, (*path, through_size))


class ByStudy:
    """The evidence of a scaling study of the same network: its plane at the nearest length.

    Members outside the widths, depths and image sizes of the study are left out: what holds among
    small networks need not hold beyond.

    Raises:
        RecipeError: the study is of another kind or network, or too few of its rows have finished.
    """

    def __init__(self, family: Family, results: Results, *, epochs: float) -> None:
        if results.study.kind != "scale":
            raise RecipeError(
                f"kind={results.study.kind}; give a study that `vertebra study scale` made"
            )
        mine = bare(family.recipe(family.origin))
        for row in results.rows:
            if (theirs := bare(row.cell.recipe)) != mine:
                raise RecipeError(
                    f"the study is of {title(theirs)}, and this recipe has {title(mine)} (widths "
                    f"and depths left aside); give the flags that the study had"
                )
        by_length = points(results, Row.selection)
        length = min(by_length, key=lambda each: abs(log2(each / epochs)), default=epochs)
        found = gains(by_length.get(length, []))
        if found is None:
            raise RecipeError(
                f"too few rows of the study have finished at {length:g} epochs; "
                f"go on with `vertebra study resume`"
            )
        self._family, self._gains = family, found
        self._studied = [absolute(row.cell.recipe) for row in results.rows]
        self.said = (
            f"by the study's plane at {length:g} epochs on the images that choose "
            f"(r2 {found.plane.r2:.2f}), within the sizes that it has tried"
        )

    def score(self, size: Size, share: float) -> float:
        """Returns the accuracy gained over the recipe's network."""
        return self._gain(size) if self._is_within(self._family.absolute(size)) else -inf

    def reason(self, size: Size, share: float) -> str:
        """Returns the gain that is expected."""
        return f"{100 * self._gain(size):+.2f} points expected over the recipe's own"

    def _gain(self, size: Size) -> float:
        own = self._family.doublings(size)._asdict()
        slopes = zip(self._gains.axes, self._gains.plane.slopes, strict=True)
        return sum(slope.mean * own[axis] for axis, slope in slopes)

    def _is_within(self, size: Absolute) -> bool:
        ranges = ((min(each), max(each)) for each in zip(*self._studied, strict=True))
        return all(low <= own <= high for own, (low, high) in zip(size, ranges, strict=True))


def over_fits(*, epochs: float, images: int) -> bool:
    """Says whether so many passes over so many images can over-fit, by a rule of thumb."""
    return epochs >= LONG_EPOCHS or (epochs > SHORT_EPOCHS and images < FEW_IMAGES)


def bare(recipe: Recipe) -> ModelSpec:
    """Returns the model without its width and depth, to compare with another's."""
    _, network = network_in(recipe.model)
    width, depth = (1.0 if hasattr(network, name) else None for name in ("width", "depth"))
    return with_size(recipe, width=width, depth=depth).model
