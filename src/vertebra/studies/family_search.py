"""Which members of a family a budget allows, found by measuring few of the many.

The log of a cost is nearly a plane over the doublings of MACs through width, depth and image size
(on a device that is bound by its calls, steep in depth and flat in width). So: measure the origin
and its smaller neighbours, fit the plane, measure those that are worth most of what it says to be
within the budget, and again, until the best are all measured.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, log2
from typing import Literal, NamedTuple

from vertebra.errors import RecipeError
from vertebra.report.quantities import amount
from vertebra.studies.family import Family, Size
from vertebra.studies.statistics import plane

MOST = 48
"""Members that are measured at most."""

_NEAR = 12
"""Measured members, those nearest to the budget, that the plane is fitted to."""

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*([a-zA-Z]*)\s*", re.ASCII)
_UNITS: Mapping[str, Mapping[str, float]] = {
    "ms": {"ms": 1.0, "s": 1000.0, "us": 0.001},
    "MACs": {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
}
_EXAMPLES = {"ms": "5ms or 0.1s", "MACs": "300M or 1.5G"}

Score = Callable[[Size, float], float]
"""What a member is worth that takes this share of the budget; -inf for one that must not be."""

Measure = Callable[[Sequence[Size]], Sequence[float | None]]
"""What members cost, in the unit of the budget; None for one that cannot be measured."""


class Budget(NamedTuple):
    """What an image may take."""

    most: float
    unit: Literal["ms", "MACs"]

    @classmethod
    def parse(cls, text: str, unit: Literal["ms", "MACs"]) -> "Budget":
        """Returns the budget that the text says: "5ms", "0.005 s", "1.5G".

        Raises:
            RecipeError: it is no such amount.
        """
        found = _AMOUNT.fullmatch(text)
        factor = _UNITS[unit].get(found[2]) if found else None
        if found is None or factor is None or float(found[1]) == 0:
            raise RecipeError(f"budget {text!r} is no amount of {unit}; write {_EXAMPLES[unit]}")
        return cls(float(found[1]) * factor, unit)

    def said(self, cost: float | None = None) -> str:
        """Returns a cost, or the budget, with its unit."""
        cost = self.most if cost is None else cost
        return f"{cost:.3g} ms" if self.unit == "ms" else f"{amount(cost)} MACs"


class Found(NamedTuple):
    """The members within the budget with their costs, the best first.

    largest: the largest of the family and its cost, where even that is within it.
    """

    members: dict[Size, float]
    largest: tuple[Size, float] | None


def search(
    family: Family,
    candidates: Sequence[Size],
    *,
    budget: Budget,
    score: Score,
    measure: Measure,
    wanted: int = 8,
) -> Found:
    """Returns those of the candidates that fit, the `wanted` best ones measured.

    Raises:
        RecipeError: none fits; the message names the one that costs least.
    """
    candidates = [size for size in candidates if score(size, 1.0) > -inf]
    if not candidates:
        raise RecipeError(
            "no member of the family may be taken: none lies within the sizes that the study has "
            "tried; leave --study out, or give the recipe that it had"
        )
    costs = _Costs(family, budget, measure)
    costs.measure(_first(family.origin, candidates))
    while costs.count < MOST:
        expected = costs.expected(candidates)
        best = _best(expected, budget, score)[:wanted]
        unknown = [size for size in best if size not in costs.known]
        if not unknown and not best:  # measure what should cost least before giving up
            least = sorted(expected, key=expected.__getitem__)[:wanted]
            unknown = [size for size in least if size not in costs.known]
        if not unknown:
            break
        costs.measure(unknown)
    known = {size: costs.known[size] for size in candidates if size in costs.known}
    members = {size: known[size] for size in _best(known, budget, score)}
    if not members:
        raise _too_small(known, budget)
    return Found(members, _largest(family, candidates, costs, budget))


class _Costs:
    """The costs that are known, and what they let expect of the others."""

    def __init__(self, family: Family, budget: Budget, measure: Measure) -> None:
        self.known: dict[Size, float] = {}
        self._family = family
        self._budget = budget
        self._measure = measure

    @property
    def count(self) -> int:
        """How many have been measured."""
        return len(self.known)

    def measure(self, sizes: Sequence[Size]) -> None:
        """Measures members; one that cannot be costs more than any budget."""
        for size, cost in zip(sizes, self._measure(sizes), strict=True):
            self.known[size] = inf if cost is None else cost

    def expected(self, sizes: Iterable[Size]) -> dict[Size, float]:
        """Returns what each costs, where it is known, or should."""
        usable = [size for size, cost in self.known.items() if cost < inf]
        usable.sort(key=lambda size: abs(log2(self.known[size] / self._budget.most)))
        law = self._law(usable[:_NEAR]) or self._law(usable) or self._as_macs(usable)
        return {
            size: self.known[size] if size in self.known else 2 ** law(self._family.doublings(size))
            for size in sizes
        }

    def _law(self, sizes: Sequence[Size]) -> Callable[[Sequence[float]], float] | None:
        """Returns the plane through some members; None where they do not determine it."""
        x = [self._family.doublings(size) for size in sizes]
        varying = [place for place in range(3) if len({each[place] for each in x}) > 1]
        given = [[each[place] for place in varying] for each in x]
        found = plane(given, [log2(self.known[size]) for size in sizes]) if varying else None
        if found is None:
            return None
        slopes = dict.fromkeys(range(3), 1.0)
        slopes |= {place: slope.mean for place, slope in zip(varying, found.slopes, strict=True)}
        return lambda x: found.intercept + sum(slopes[place] * x[place] for place in range(3))

    def _as_macs(self, sizes: Sequence[Size]) -> Callable[[Sequence[float]], float]:
        """Returns that the cost goes with the MACs, from the first of the members on."""
        if not sizes:
            return lambda x: inf
        first, own = sum(self._family.doublings(sizes[0])), log2(self.known[sizes[0]])
        return lambda x: own + sum(x) - first


def _first(origin: Size, candidates: Sequence[Size]) -> list[Size]:
    """Returns the origin, its next smaller neighbour along each axis, and that along all."""
    width, depth, image_size = (
        max((each[axis] for each in candidates if each[axis] < own), default=own)
        for axis, own in enumerate(origin)
    )
    return [
        *dict.fromkeys(
            [
                origin,
                origin._replace(width=width),
                origin._replace(depth=depth),
                origin._replace(image_size=int(image_size)),
                Size(width, depth, int(image_size)),
            ]
        )
    ]


def _best(costs: Mapping[Size, float], budget: Budget, score: Score) -> list[Size]:
    """Returns those within the budget, the best first."""
    rated = {
        size: score(size, cost / budget.most) for size, cost in costs.items() if cost <= budget.most
    }
    return sorted(rated, key=rated.__getitem__, reverse=True)


def _largest(
    family: Family, candidates: Sequence[Size], costs: _Costs, budget: Budget
) -> tuple[Size, float] | None:
    largest = max(candidates, key=lambda size: sum(family.doublings(size)))
    if costs.expected([largest])[largest] > budget.most:
        return None
    if largest not in costs.known:
        costs.measure([largest])
    cost = costs.known[largest]
    return (largest, cost) if cost <= budget.most else None


def _too_small(known: Mapping[Size, float], budget: Budget) -> RecipeError:
    least = min(known, key=known.__getitem__)
    if known[least] == inf:
        return RecipeError("no member of the family can be measured here; give another --device")
    return RecipeError(
        f"no member of the family fits {budget.said()}: the one that costs least, {least.name}, "
        f"takes {budget.said(known[least])}; raise the budget or choose another --model"
    )
