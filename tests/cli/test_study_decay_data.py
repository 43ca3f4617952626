"""`vertebra study decay` and `vertebra study data`: which rows they make, and what they refuse."""

import pytest
from tests.cli.conftest import TINY, vertebra


def rows_of(said):
    """Returns the lines of a table of rows."""
    assert said.code == 0, said.err
    return [line.rstrip() for line in said.out.splitlines()]


def test_decay_shows_three_sets_at_two_decays(elsewhere):
    lines = rows_of(vertebra("study", "decay", "--data=digits", "--dry-run", *TINY))
    assert lines[0] == "How much weight decay beside which regularisers on digits?"
    assert lines[-1] == "6 rows x 3 seeds = 18 runs"
    told = "\n".join(lines)
    assert "none, decay 4e-05" in told
    assert "optimizer.weight_decay 0.0001 -> 4e-05" in told
    assert "stochastic depth" not in told
    assert not list(elsewhere.iterdir())


def test_decay_takes_decays_and_rates_from_flags():
    flags = "--decays", "1e-3", "5e-4", "1e-4", "--dropout=0.1", "--stochastic-depth=0.2"
    lines = rows_of(vertebra("study", "decay", "--dry-run", "--seeds=1", *flags, *TINY))
    assert lines[-1] == "9 rows x 1 seed = 9 runs"
    told = " ".join(lines)
    assert "+ dropout, stochastic depth, decay 0.001" in told
    assert "model.stochastic_depth 0 -> 0.2" in told


def test_data_has_a_row_for_each_share_and_rate():
    flags = "--noise", "0", "0.2", "--fractions", "0.2", "0.6", "1"
    lines = rows_of(vertebra("study", "data", "--data=digits", "--dry-run", *flags, *TINY))
    assert lines[0] == "What would more images than those of digits give?"
    assert lines[-1] == "6 rows x 3 seeds = 18 runs"
    told = "\n".join(lines)
    assert "data.fraction 0.2 -> 0.6" in told
    assert "0.2 of labels wrong, 1 of train" in told
    assert "length" not in told  # as many updates in every row


def test_data_has_networks_by_width_or_by_name():
    small = "--fractions", "0.5", "1", "--seeds=1", "--dry-run"
    lines = rows_of(vertebra("study", "data", *small, "--widths", "0.125", "0.25", *TINY))
    assert "model.width 0.125 -> 0.25" in "\n".join(lines)
    lines = rows_of(vertebra("study", "data", *small, "--models", "resnet18", "resnet34"))
    assert any(line.startswith("resnet34, 0.5 of train") for line in lines)
    assert lines[-1] == "4 rows x 1 seed = 4 runs"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["decay", "--decays", "1e-4"], "give two or more that differ"),
        (["decay", "--dropout=0"], "dropout=0.0 adds nothing"),
        (["decay", "--recipe=nothing"], "unknown recipe 'nothing'"),
        (["decay", "--data=digits", "--recipe=byol-small"], "choose a supervised one"),
        (["data", "--equal-updates", "--equal-epochs"], "exclude each other"),
        (["data", "--model=resnet18", "--models", "resnet34"], "--model and --models both say"),
        (["data", "--models", "resnet17"], "unknown model 'resnet17'"),
        (["data", "--fractions", "0.5", "2"], "fraction=2.0"),
        (["data", "--noise", "0", "1.5"], "label noise rate=1.5"),
        (["data", "--set=data.fraction=0.5"], "give --fractions and --noise"),
        (["data", "--set=length=9 steps", "--equal-epochs"], "for equal epochs give those"),
    ],
)
def test_what_makes_no_study_is_one_sentence(words, told, elsewhere):
    said = vertebra("study", *words)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert told in said.err
    assert said.err.count("\n") == 1
    assert not list(elsewhere.iterdir())
