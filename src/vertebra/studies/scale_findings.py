"""What a scaling study says in sentences: which of depth and width pays, whether the paper's two
strategies hold here, and where a power law does.

Source: Revisiting ResNets: Improved Training and Scaling Strategies (2021), section 6 (depth where
over-fitting is possible, else width; image size slowly) and its scaling experiments (350 epochs:
depth ahead; 10: width; error against cost a power law for small networks only).
Differs: "over-fitting is possible" is read as the longest training of the study.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from vertebra.report.quantities import amount, percent
from vertebra.studies.results import Results
from vertebra.studies.scale_fits import (
    Gains,
    Law,
    Point,
    gains,
    laws,
    most_accurate,
    size_steps,
    slackening,
)
from vertebra.studies.statistics import Interval

Ahead: TypeAlias = Literal["depth", "width"] | None

FITS = 0.8
"""Share of the variation, r2, that a power law must explain to be called one."""

RIVALS = ("depth", "width")
FIRST = "The paper's first strategy (depth where over-fitting is possible, else width)"
SECOND = "The paper's second strategy (raise the image size slowly, its return diminishes)"
REGULARISATION = (
    "Regularisation is the same in every row; the paper raises it with the size of the network and "
    "the length of training, so large ones may be worth more than is shown."
)


def scale_findings(results: Results, by_length: Mapping[float, Sequence[Point]]) -> tuple[str, ...]:
    """Returns the sentences, the most important one first; none before a run has finished.

    by_length: the cells that have a figure, the shortest training first.
    """
    if not by_length:
        return ()
    longest = [*by_length][-1]
    found = {epochs: gains(cells) for epochs, cells in by_length.items()}
    said: list[str] = []
    if all(len({cell.place[axis] for cell in results.study.cells}) > 1 for axis in RIVALS):
        said += [_which_pays(epochs, each) for epochs, each in reversed([*found.items()])]
        said.append(_first_strategy(found))
    said.append(_second_strategy(by_length[longest], longest))
    said.append(_power_law(laws(by_length[longest], "macs"), longest))
    said += [_most_accurate(cells, epochs) for epochs, cells in reversed([*by_length.items()])]
    if len(results.study.seeds) == 1:
        said.append(
            "With one seed no row can be told from chance; intervals hold how far the rows lie "
            "from what was fitted. Give --seeds 3 or more."
        )
    return (*filter(None, said), REGULARISATION)


def ahead(found: Gains | None) -> Ahead:
    """Returns which of depth and width gives more for its cost, beyond chance."""
    more = found and found.depth_minus_width
    if more and more.is_above_zero:
        return "depth"
    return "width" if more and more.is_below_zero else None


def _which_pays(epochs: float, found: Gains | None) -> str:
    at = f"At {epochs:g} epochs"
    more = found and found.depth_minus_width
    depth, width = (found and found.through(axis) for axis in RIVALS)
    if more is None or depth is None or width is None:
        return f"{at} too few rows have finished to tell whether depth or width pays."
    each = f"a doubling of the multiply-adds gives {_points(depth)} points through depth"
    each += f" and {_points(width)} through width"
    first = ahead(found)
    if first is None:
        return f"{at} depth and width cannot be told apart: {each}, {_points(more)} between them."
    gain = depth if first == "depth" else width
    verb = "pays" if gain.is_above_zero else "is ahead, but gives nothing beyond chance"
    return f"{at} {first} {verb}: {each}, {_points(more, signed=False)} more."


def _first_strategy(found: Mapping[float, Gains | None]) -> str:
    compared = [epochs for epochs, each in found.items() if each and each.depth_minus_width]
    if not compared:
        return ""
    short, long = compared[0], compared[-1]
    if short == long:
        return f"{FIRST} is about lengths of training; give two of them to see whether it holds."
    early, late = ahead(found[short]), ahead(found[long])
    confirmed = (early == "width") + (late == "depth")
    contradicted = (early == "depth") + (late == "width")
    verdict = ("holds", "holds in part", "does not hold", "is neither confirmed nor refuted")[
        0 if confirmed == 2 else 1 if confirmed else 2 if contradicted else 3
    ]
    at_short = {
        "width": f"width paid at {short:g} epochs, as the paper found of short training",
        "depth": f"depth paid at {short:g} epochs already, where the paper found width ahead",
        None: f"at {short:g} epochs neither is ahead beyond chance",
    }
    at_long = {
        "depth": f"at {long:g} depth paid, as it found of long training",
        "width": f"at {long:g} width paid, where it found depth ahead of long training",
        None: f"at {long:g} neither is ahead beyond chance",
    }
    return f"{FIRST} {verdict} here: {at_short[early]}; {at_long[late]}."


def _second_strategy(cells: Sequence[Point], epochs: float) -> str:
    steps = size_steps(cells)
    if not steps:
        return ""
    change = slackening(steps)
    first, last = steps[0].gain, steps[-1].gain
    if change is None or first is None or last is None:
        return f"{SECOND} needs three image sizes of the same networks to be seen."
    verdict = (
        "holds"
        if change.is_below_zero
        else "does not hold"
        if change.is_above_zero
        else "is neither confirmed nor refuted"
    )
    told = f"{_points(first)} points from {steps[0].smaller} to {steps[0].larger} px and "
    told += f"{_points(last)} from {steps[-1].smaller} to {steps[-1].larger} px"
    word = "less" if change.mean < 0 else "more"
    return (
        f"{SECOND} {verdict} here: at {epochs:g} epochs a doubling of the multiply-adds through it "
        f"gives {told}, {_points(change, signed=False)} {word}."
    )


def _power_law(fitted: Sequence[Law], epochs: float) -> str:
    by_part = {law.part: law for law in fitted}
    whole, smaller, larger = (by_part.get(part) for part in ("all", "smaller", "larger"))
    if whole is None:
        return ""
    said = f"At {epochs:g} epochs the error goes as multiply-adds to the power {_power(whole)}"
    if smaller is None or larger is None:
        return f"{said}; too few rows have finished to say where that holds."
    halves = f"{_power(smaller)} among the smaller half, {_power(larger)} among the larger"
    where = {
        (True, True): "and a law fits both halves, the large ones too, unlike in the paper",
        (True, False): "but a law fits the small ones only, as the paper found",
        (False, True): "but a law fits the large ones only, unlike in the paper",
        (False, False): "but no law fits either half by itself",
    }
    return f"{said}, {where[_fits(smaller), _fits(larger)]}: {halves}."


def _fits(law: Law) -> bool:
    return law.exponent.is_below_zero and law.line.r2 >= FITS


def _most_accurate(cells: Sequence[Point], epochs: float) -> str:
    """Says which row is best on the split that chooses, with its figure on the other."""
    chosen = most_accurate([cell.row for cell in cells])
    if chosen is None:
        return ""
    best = next(cell for cell in cells if cell.row is chosen)
    latency = "" if best.latency_ms is None else f", {best.latency_ms:.3g} ms"
    half = "" if best.accuracy.half is None else f" ± {100 * best.accuracy.half:.2f}"
    return (
        f"Most accurate at {epochs:g} epochs, by the images that choose: {best.row.cell.name} "
        f"({percent(best.accuracy.mean)}{half} on those that are reported, "
        f"{amount(best.macs)} multiply-adds{latency})."
    )


def _points(gain: Interval, *, signed: bool = True) -> str:
    half = "" if gain.half is None else f" ± {100 * gain.half:.2f}"
    return (f"{100 * gain.mean:+.2f}" if signed else f"{100 * abs(gain.mean):.2f}") + half


def _power(law: Law) -> str:
    half = "" if law.exponent.half is None else f" ± {law.exponent.half:.2f}"
    return f"{law.exponent.mean:.2f}{half} (r2 {law.line.r2:.2f})"
