"""What a study of images says, in sentences."""

from collections.abc import Sequence
from statistics import fmean

from vertebra.report.quantities import count, number_of, percent
from vertebra.studies.data_curves import TENFOLD, Curve, cleanest, difference, images_of
from vertebra.studies.reading import in_points
from vertebra.studies.statistics import paired


def findings(read: Sequence[Curve]) -> tuple[str, ...]:
    """Returns what more images gave, what more would, for which network, and what noise cost."""
    clean = [curve for curve in read if curve is cleanest(curve, read)]
    found = [*map(_gained, clean), *_capacity(clean)]
    for curve in clean:
        found += _noise(curve, [each for each in read if each.network == curve.network])
    found += [*_chosen(clean), *map(_beyond, clean)]
    return tuple(filter(None, found))


def _gained(curve: Curve) -> str:
    """Returns what ten times as many images gave a network; nothing without a line."""
    if (line := curve.line) is None:
        return ""
    gave = f"{curve.network}: ten times as many images gave {in_points(line.slope)} points"
    if line.slope.half is None:
        return f"{gave}; with one seed that cannot be told from chance, give --seeds 3 or more."
    if not line.slope.is_above_zero:
        return f"{gave}, no gain beyond chance ({number_of(line.slope.n, 'seed')})."
    return f"{gave} (r2 {line.r2:.2f}, {number_of(line.slope.n, 'seed')})."


def _beyond(curve: Curve) -> str:
    """Returns where the line of a gain leads at ten times the most images."""
    line, most = curve.line, images_of(curve.rows[-1])
    if line is None or not line.slope.is_above_zero:
        return ""
    accuracy = line.at(TENFOLD * most)
    where = f"about {percent(accuracy, 1)}"
    if accuracy >= 1:
        where = "more than there is to gain, so it bends before"
    return (
        f"{curve.network}: ten times the {number_of(most, 'image')} here would give, if the line "
        f"goes on, {where}; nothing was measured there."
    )


def _capacity(clean: Sequence[Curve]) -> list[str]:
    """Returns whether the largest network gains more by images than the smallest."""
    small, big = (pick(clean, key=lambda curve: curve.parameters) for pick in (min, max))
    steeper = big.steeper_than(small)
    if big.parameters == small.parameters or steeper is None:
        return []
    figures = (
        f"{in_points(steeper)} points by ten times as many ({big.network} over {small.network})"
    )
    if steeper.is_above_zero:
        return [f"The larger network gains more by more images: {figures}."]
    if steeper.is_below_zero:
        return [f"The larger network gains less by more images: {figures}."]
    return [f"Whether the larger network gains more by more images cannot be told: {figures}."]


def _noise(clean: Curve, same: Sequence[Curve]) -> list[str]:
    """Returns what wrong labels did to a network, and whether more images bear them better."""
    noisy = sorted((curve for curve in same if curve is not clean), key=lambda curve: curve.rate)
    ends = [(curve.rate, curve.over(clean)[-1]) for curve in noisy]
    parts = [f"{percent(rate, 0)} {in_points(lost)}" for rate, lost in ends if lost is not None]
    if not parts:
        return []
    fewest, most = (images_of(clean.rows[place]) for place in (0, -1))
    said = [f"{clean.network}, {number_of(most, 'image')}: wrong labels gave, in points: "]
    said[0] += f"{', '.join(parts)}."
    worst = noisy[-1]
    eased = paired(*(difference(worst.rows[end], clean.rows[end]) for end in (-1, 0)))
    if fewest == most or eased is None or eased.half is None:
        return said
    figures = (
        f"at {percent(worst.rate, 0)}, {in_points(eased)} points between {count(fewest)} and "
        f"{number_of(most, 'image')}"
    )
    if eased.is_above_zero:
        return [*said, f"{clean.network}: more images bear wrong labels better: {figures}."]
    if eased.is_below_zero:
        return [*said, f"{clean.network}: more images bear wrong labels worse: {figures}."]
    return [*said, f"{clean.network}: whether more images bear them better is open: {figures}."]


def _chosen(clean: Sequence[Curve]) -> list[str]:
    """Returns which of several networks the split that chooses prefers, at the most images."""
    judged = {curve.network: curve.rows[-1].selection() for curve in clean}
    means = {network: fmean(figures.values()) for network, figures in judged.items() if figures}
    if len(judged) < 2 or len(means) < len(judged):
        return []
    best = max(means, key=lambda network: means[network])
    most = number_of(images_of(clean[0].rows[-1]), "image")
    return [f"At {most} the split that chooses prefers {best} ({percent(means[best])})."]
