from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.album import in_memory

from vertebra.data.digits import open_digits
from vertebra.data.images import Source, Split
from vertebra.data.names import Names
from vertebra.data.readers import Files
from vertebra.data.split import Splits, divide
from vertebra.errors import DataError


def drawn(*sizes: int, prefix: str = "") -> Split:
    """Returns a split without files that has so many images of each class."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    names = Names.of(f"{prefix}{label}/{place}" for place, label in enumerate(labels))
    classes = tuple(f"class{place}" for place in range(len(sizes)))
    return Split(classes, labels, names, labels * 0, Files(Path()))


def source(**splits: Split) -> Source:
    return Source("drawn", "nowhere", splits["train"].classes, splits)


def name_sets(splits: Splits) -> tuple[set[str], set[str], set[str]]:
    return set(splits.train.names), set(splits.minival.names), set(splits.report.names)


def counts(split: Split) -> list[int]:
    return np.bincount(split.labels, minlength=len(split.classes)).tolist()


@given(
    st.lists(st.integers(2, 60), min_size=2, max_size=6).filter(lambda sizes: sum(sizes) > 11),
    st.integers(0, 3),
)
def test_nothing_is_in_two_splits_and_nothing_is_lost(sizes: list[int], seed: int):
    whole = drawn(*sizes)
    splits = divide(source(train=whole), seed=seed)
    train, minival, report = name_sets(splits)
    assert not train & minival and not train & report and not minival & report
    assert train | minival | report == set(whole.names)
    assert min(counts(splits.train)) >= 1 and min(counts(splits.report)) >= 1
    pairs = {name: name.split("/")[0] for name in whole.names}
    for part in (splits.train, splits.minival, splits.report):
        assert [pairs[name] for name in part.names] == [str(label) for label in part.labels]


def test_given_splits_are_used_as_they_are():
    parts = {name: drawn(9, 9, prefix=name) for name in ("train", "val", "test")}
    splits = divide(source(**parts), seed=0)
    assert (splits.train, splits.minival, splits.report) == tuple(parts.values())
    assert splits.report_name == "test"


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_given_held_out_split_is_reported_and_the_minival_comes_from_train(name: str):
    held_out = drawn(9, 9, prefix="held")
    splits = divide(source(train=drawn(300, 100), **{name: held_out}), seed=0)
    assert splits.report is held_out and splits.report_name == name
    assert counts(splits.minival) == [30, 10]
    assert splits.note == f"{name} is the source's own; minival is 40 images cut off train"


@pytest.mark.parametrize(
    ("images", "expected"), [(1000, 100), (6000, 500), (20000, 500), (50000, 1000)]
)
def test_a_minival_is_two_percent_but_500_images_if_that_is_no_more_than_a_tenth(
    images: int, expected: int
):
    whole = drawn(images // 2, images // 2)
    assert len(divide(source(train=whole, test=drawn(1, 1)), seed=0).minival) == expected


def test_a_fifth_is_held_out_of_train_alone_with_each_class_its_share():
    splits = divide(source(train=drawn(500, 50, 5, 1)), seed=0)
    assert counts(splits.report) == [100, 10, 1, 0]
    assert counts(splits.minival) == [40, 4, 1, 0]
    assert counts(splits.train) == [360, 36, 3, 1]


def test_who_is_held_out_depends_on_names_and_seed_not_on_order():
    whole = drawn(40, 40)
    turned = whole.subset(np.arange(80)[::-1])
    assert name_sets(divide(source(train=whole), seed=1)) == name_sets(
        divide(source(train=turned), seed=1)
    )
    assert name_sets(divide(source(train=whole), seed=1)) != name_sets(
        divide(source(train=whole), seed=2)
    )


def test_this_draw_is_the_same_on_every_machine_and_in_every_version():
    splits = divide(source(train=drawn(10, 10)), seed=0)
    assert sorted(splits.report.names) == ["0/0", "0/9", "1/10", "1/18"]


def test_digits_are_reported_on_their_last_third():
    splits = divide(open_digits(), seed=0)
    assert (len(splits.train), len(splits.minival), len(splits.report)) == (1079, 119, 599)
    assert splits.report_name == "test"


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="2 images in 2 classes are too few to hold out a test"):
        divide(source(train=in_memory(2)), seed=0)
    with pytest.raises(DataError, match="too few to hold out a minival"):
        divide(source(train=in_memory(2), test=in_memory(2)), seed=0)
