"""Fewer images: so many of each class, nested, and the same for the same names and seed."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vertebra.data.fraction import fraction, long_tail
from vertebra.data.images import Split
from vertebra.data.names import Names
from vertebra.data.readers import Files


def drawn(*sizes: int) -> Split:
    """Returns a split without files that has so many images of each class."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    names = Names.of(f"{label}/{place}" for place, label in enumerate(labels))
    return Split(tuple(map(str, range(len(sizes)))), labels, names, labels * 0, Files(Path()))


def counts(split: Split) -> list[int]:
    return np.bincount(split.labels, minlength=len(split.classes)).tolist()


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.floats(0.001, 1.0),
    st.floats(0.001, 1.0),
    st.integers(0, 3),
)
def test_each_class_keeps_its_share_and_shares_are_nested(sizes, one, other, seed):
    whole = drawn(*sizes)
    smaller, larger = (fraction(whole, each, seed=seed) for each in sorted((one, other)))
    assert counts(smaller) == [max(1, round(min(one, other) * size)) for size in sizes]
    assert set(smaller.names) <= set(larger.names) <= set(whole.names)


def test_images_stay_in_their_order_with_their_labels_and_all_of_them_are_the_whole():
    whole = drawn(30, 20)
    some = fraction(whole, 0.5, seed=0)
    places = [list(whole.names).index(name) for name in some.names]
    assert places == sorted(places)
    assert [int(name.split("/")[0]) for name in some.names] == some.labels.tolist()
    assert list(fraction(whole, 1.0, seed=0).names) == list(whole.names)


def test_who_is_kept_depends_on_names_and_seed_and_not_on_the_order_of_files():
    whole = drawn(40, 40)
    turned = whole.subset(np.arange(80)[::-1])
    kept = [set(fraction(whole, 0.2, seed=seed).names) for seed in (0, 1)]
    assert set(fraction(turned, 0.2, seed=0).names) == kept[0] != kept[1]


def test_this_draw_is_the_same_on_every_machine_and_in_every_version():
    assert list(fraction(drawn(10, 10), 0.2, seed=0).names) == ["0/2", "0/3", "1/15", "1/17"]


def test_images_without_classes_are_one_group():
    whole = drawn(10, 10).unlabelled()
    assert len(fraction(whole, 0.3, seed=0)) == 6
    assert len(long_tail(whole, 100, seed=0)) == 20


def test_a_long_tail_falls_by_the_same_factor_from_class_to_class():
    whole = drawn(1000, 1000, 1000)
    tail = long_tail(whole, 100, seed=0)
    assert counts(tail) == [1000, 100, 10]
    assert set(long_tail(whole, 1000, seed=0).names) < set(tail.names)
    assert counts(long_tail(whole, 1, seed=0)) == [1000, 1000, 1000]


def test_no_class_of_a_long_tail_is_lost():
    assert counts(long_tail(drawn(3, 3, 3, 1), 1e9, seed=0)) == [3, 1, 1, 1]
