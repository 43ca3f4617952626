"""Should images grow with the network as EfficientNet has it, or slowly? Both at the same cost.

Source: Revisiting ResNets (2021), section 6, strategy 2, and section 7.2 (EfficientNet-RS).
Differs: figures at equal cost are read off the compound rule's curve, a straight line over the
logarithm of the cost between two members, for each seed by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import log
from statistics import fmean
from typing import TypeAlias

from vertebra.models.shelf import title
from vertebra.models.specs import network_in
from vertebra.models.timm import TimmSpec
from vertebra.recipes.recipe import Recipe
from vertebra.records import Json
from vertebra.report.quantities import number_of, percent
from vertebra.studies.costs import cost_of, costs_of
from vertebra.studies.growth import Growth, grown, image_size
from vertebra.studies.reading import Column, Figure, Reading, Table, in_points
from vertebra.studies.results import Results, Row
from vertebra.studies.rules_plot import Curve, rules_plot
from vertebra.studies.statistics import Interval, interval
from vertebra.studies.study import Cell

COSTS: Mapping[str, str] = {"macs": "MACs", "latency_ms": "latency"}
"""Where a cell's place has a cost, and what that is called."""

RULES = ("compound", "slow")

Figures: TypeAlias = Callable[[Row], Mapping[int, float]]
"""What a row is judged by: a figure by seed."""


def resolution_cells(
    base: Recipe,
    growth: Growth,
    *,
    classes: int,
    measure: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Cell, ...]:
    """Returns a cell for the base, and for each phi one of either rule, with its cost.

    classes: outputs of the head.
    measure: time the networks here.

    Raises:
        RecipeError: the network can grow by neither rule.
    """

    @cache
    def count_macs(recipe: Recipe) -> int:
        return cost_of(recipe, classes=classes, measure=False).macs

    members = list(grown(base, growth, count_macs=count_macs))
    costs = costs_of(
        [each.recipe for each in members],
        classes=classes,
        measure=measure,
        on_progress=on_progress,
    )
    return tuple(
        Cell(
            name="base" if each.phi == 0 else f"{each.rule} {each.phi}",
            recipe=each.recipe,
            place={
                "rule": each.rule,
                "phi": each.phi,
                "network": _said(each.recipe),
                "image_size": image_size(each.recipe),
                **cost._asdict(),
            },
        )
        for each, cost in zip(members, costs, strict=True)
    )


def read_resolution(results: Results) -> Reading:
    """Returns the members with their costs, what slow scaling gains at equal cost, the curves."""
    slow = _of(results, "slow")
    compound = [*_of(results, "base"), *_of(results, "compound")]
    figures = tuple(
        Figure(f"Accuracy against {COSTS[cost]}", plot, _NOTE)
        for cost in COSTS
        if (plot := rules_plot([_curve(results, rule, cost) for rule in RULES], cost)) is not None
    )
    return Reading(
        (_table(results, compound),), _findings(slow, compound, results.study.facts), figures
    )


_NOTE = "Whiskers are 95% intervals over the seeds; both rules begin at the same base."


def _said(recipe: Recipe) -> str:
    _, network = network_in(recipe.model)
    if isinstance(network, TimmSpec):
        return title(network)
    return " ".join(f"{name} {getattr(network, name, 1.0):.4g}" for name in ("width", "depth"))


def _of(results: Results, rule: str) -> list[Row]:
    return [row for row in results.rows if row.cell.place["rule"] == rule]


def _curve(results: Results, rule: str, cost: str) -> Curve:
    rows = [*_of(results, "base"), *_of(results, rule)]
    points = [
        (row.cell.name, x, figure)
        for row in rows
        if (x := _cost(row, cost)) is not None and (figure := row.mean()) is not None
    ]
    return Curve(rule, tuple(sorted(points, key=lambda point: point[1])))


def _cost(row: Row, cost: str) -> float | None:
    return row.cell.place[cost]


def gains(
    row: Row, compound: Sequence[Row], cost: str, of: Figures = Row.figures
) -> dict[int, float]:
    """Returns what a row has more than the compound rule gives at the same cost, by seed.

    Empty where the row's cost lies beyond compound's members, or a figure is missing.
    """
    x = _cost(row, cost)
    placed = [(at, each) for each in compound if (at := _cost(each, cost)) is not None]
    if x is None:
        return {}
    for (low, left), (high, right) in pairwise(sorted(placed, key=lambda pair: pair[0])):
        if low <= x <= high:
            share = log(x / low) / log(high / low) if high > low else 0.0
            ours, a, b = of(row), of(left), of(right)
            return {
                seed: ours[seed] - (1 - share) * a[seed] - share * b[seed]
                for seed in ours
                if seed in a and seed in b
            }
    return {}


def pooled(
    slow: Sequence[Row], compound: Sequence[Row], cost: str, of: Figures = Row.figures
) -> tuple[Interval | None, int]:
    """Returns the mean gain of the slow members at equal cost, paired by seed, and of how many."""
    found = [each for row in slow if (each := gains(row, compound, cost, of))]
    seeds = set[int].intersection(*map(set, found)) if found else set[int]()
    means = [fmean(each[seed] for each in found) for seed in sorted(seeds)]
    return interval(means), len(found)


def _table(results: Results, compound: Sequence[Row]) -> Table:
    columns = (
        Column("member"),
        Column("network"),
        Column("px", "number"),
        Column("parameters", "number"),
        Column("MACs", "number"),
        Column("ms", "number"),
        Column("top-1", "share"),
        Column("gain at equal MACs", "points"),
        Column("at equal latency", "points"),
    )
    rows = [
        (
            row.cell.name,
            row.cell.place["network"],
            row.cell.place["image_size"],
            row.cell.place["parameters"],
            row.cell.place["macs"],
            row.cell.place["latency_ms"],
            row.mean() or row.state,
            *(_gain(row, compound, cost) for cost in COSTS),
        )
        for row in results.rows
    ]
    facts = results.study.facts
    how = [f"{name} {facts[name]}" for name in ("device", "precision", "threads") if name in facts]
    where = f" ({'; '.join(how)})" if how else ""
    note = (
        "Top-1 is the mean over the seeds on the split that is reported, ± half of its 95% "
        "interval. A gain is a slow member's over the compound rule at the same cost, in points, "
        "paired by seed; none where the cost lies beyond compound's members. MACs and ms are of "
        f"one image{where}."
    )
    return Table("Both rules", columns, tuple(rows), note)


def _gain(row: Row, compound: Sequence[Row], cost: str) -> Interval | None:
    if row.cell.place["rule"] != "slow":
        return None
    return interval(list(gains(row, compound, cost).values()))


def _findings(
    slow: Sequence[Row], compound: Sequence[Row], facts: Mapping[str, Json]
) -> tuple[str, ...]:
    found = _verdict(slow, compound)
    for cost, called in COSTS.items():
        gain, members = pooled(slow, compound, cost)
        if gain is not None:
            found.append(
                f"At equal {called} slow scaling gave {in_points(gain)} points over compound, "
                f"averaged over {number_of(members, 'member')} ({number_of(gain.n, 'seed')})."
            )
    found += _matched(slow, compound)
    if facts.get("slowness") is not None and found:
        found.append(
            f"Slow means that the side grows with compound's to the power of {facts['slowness']:g}."
        )
    return tuple(found)


def _verdict(slow: Sequence[Row], compound: Sequence[Row]) -> list[str]:
    """Says which rule to take, by the split that chooses: by latency if it is known, else MACs."""
    for cost in ("latency_ms", "macs"):
        gain, members = pooled(slow, compound, cost, Row.selection)
        if gain is None:
            continue
        if gain.half is None:
            return ["With one seed no rule can be told from the other; give --seeds 3 or more."]
        by = (
            f"on the images that choose, at equal {COSTS[cost]}, over "
            f"{number_of(members, 'member')}: {in_points(gain)} points"
        )
        if gain.is_above_zero:
            return [f"Let images grow slowly ({by})."]
        if gain.is_below_zero:
            return [f"Let images grow as the compound rule has it ({by})."]
        return [f"Neither rule is ahead beyond chance ({by})."]
    return []


def _matched(slow: Sequence[Row], compound: Sequence[Row]) -> list[str]:
    """Says how near the members of the two rules are to each other in MACs."""
    theirs = {row.cell.place["phi"]: row for row in compound}
    shares = [
        row.cell.place["macs"] / theirs[row.cell.place["phi"]].cell.place["macs"] for row in slow
    ]
    said: list[str] = []
    if shares:
        said.append(
            f"The slow members take {percent(min(shares), 1)} to {percent(max(shares), 1)} of the "
            f"MACs of the compound ones."
        )
    same = sorted(theirs.keys() - {row.cell.place["phi"] for row in slow} - {0})
    if same:
        said.append(
            f"Both rules give the same network at phi = {', '.join(map(str, same))}; larger images "
            f"or a smaller --step would tell them apart."
        )
    return said
