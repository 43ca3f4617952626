"""`vertebra study resolution`: which members it makes, and what it refuses."""

import pytest
from tests.cli.conftest import TINY, vertebra


def test_both_rules_begin_at_the_same_base(elsewhere):
    said = vertebra("study", "resolution", "--data=digits", "--members=3", "--dry-run", *TINY)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith("Should images grow slowly with ")
    names = {line.partition("  ")[0] for line in lines[2:]}
    assert {"base", "compound 1", "compound 2"} <= names
    assert lines[-1].endswith("x 3 seeds = 15 runs")
    assert not list(elsewhere.iterdir())


def test_a_slowness_of_zero_leaves_the_image_size(elsewhere):
    flags = "--members=3", "--slowness=0", "--seeds=1", "--dry-run"
    said = vertebra("study", "resolution", "--data=digits", *flags, *TINY)
    assert said.code == 0, said.err
    slow = [line for line in said.out.splitlines() if line.startswith("slow ")]
    assert slow and not any("image_size" in line for line in slow)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--members=1"], "members=1"),
        (["--slowness=1"], "slowness=1; give a power in [0, 1)"),
        (["--step=0"], "step"),
        (["--magnitudes", "10@x,20"], "10@x"),
        (["--set=method.loss.smoothing=2"], "smoothing=2"),
    ],
)
def test_what_cannot_grow_is_one_sentence(words, told, elsewhere):
    said = vertebra("study", "resolution", "--data=digits", *words, *TINY)
    assert said.code == 2
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert told in said.err
    assert not list(elsewhere.iterdir())
