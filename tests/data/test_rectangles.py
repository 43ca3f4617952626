import numpy as np

from vertebra.data.rectangles import DRAWS, TRIES, Range, rectangles

UNIT = {"share": (0.2, 0.5), "ratio": (0.5, 2.0)}


def draws(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, DRAWS))


def test_the_first_try_that_fits_is_taken_as_a_plain_loop_takes_it():
    drawn, height, width = draws(300), 20, 13
    found = rectangles(
        drawn, (height, width), **UNIT, tall=Range(1, height - 6), wide=Range(1, width)
    )
    for place, row in enumerate(drawn):
        expected = None
        for share, ratio in zip(row[:TRIES], row[TRIES:-2], strict=True):
            area, aspect = height * width * (0.2 + 0.3 * share), 0.5 * 4**ratio
            tall, wide = round((area / aspect) ** 0.5), round((area * aspect) ** 0.5)
            if expected is None and 1 <= tall <= height - 6 and 1 <= wide <= width:
                top, left = int(row[-2] * (height - tall + 1)), int(row[-1] * (width - wide + 1))
                expected = (top, left, tall, wide)
        assert found.found[place] == (expected is not None)
        if expected is not None:
            assert tuple(side[place] for side in found[:4]) == expected


def test_rectangles_lie_inside_and_reach_every_edge():
    found = rectangles(draws(2000), (9, 7), **UNIT, tall=Range(1, 9), wide=Range(1, 7))
    assert found.found.mean() > 0.99
    top, left, tall, wide = (side[found.found] for side in found[:4])
    assert top.min() == left.min() == 0
    assert (top + tall).max() == 9 and (left + wide).max() == 7


def test_what_cannot_fit_is_not_found():
    found = rectangles(draws(50), (9, 7), **UNIT, tall=Range(1, 1), wide=Range(1, 1))
    assert not found.found.any()
