from collections.abc import Sequence

import pytest
from tests.studies.made import RECIPE
from tests.studies.pretended import ends, pretend, study

from vertebra.duration import Duration, epochs, steps
from vertebra.errors import MissingExtra, RecipeError
from vertebra.recipes.vary import vary
from vertebra.records import EventLog
from vertebra.studies import halving, task
from vertebra.studies.conduct import conduct
from vertebra.studies.executors.local import Local
from vertebra.studies.halving import Halving, reports_early
from vertebra.studies.place import StudyDirectory, runs_of
from vertebra.studies.results import read_results
from vertebra.studies.study import Cell, Study

pytest.importorskip("optuna")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(halving, "LOOK_SECONDS", 0.0)


@pytest.fixture
def place(tmp_path) -> StudyDirectory:
    return StudyDirectory(tmp_path / "study")


def says(place: StudyDirectory, name: str, epoch: float, top1: float, *, step: int = 1) -> None:
    """Writes that a run, of 10 epochs, looked at its selection split."""
    log = place.run(name).metrics
    log.parent.mkdir(parents=True, exist_ok=True)
    values = {"split": "minival", "figures": {"top1": top1, "n": 100}}
    EventLog(log).append("evaluate", step=step, epoch=epoch, values=values)


def why(judge: Halving, asked: Study, place: StudyDirectory, name: str) -> str | None:
    planned = next(each for each in runs_of(asked) if each.name == name)
    return judge.why_stop(place.task(planned, threads=None))


def stopped(place: StudyDirectory, asked: Study, epoch: float, tops: Sequence[float]) -> list[bool]:
    """Returns which of the rows, that reach an epoch in turn, are stopped there."""
    judge, found = Halving(asked, place), []
    for cell, top1 in zip(asked.cells, tops, strict=True):
        says(place, f"{cell.name}-0", epoch, top1)
        found.append(why(judge, asked, place, f"{cell.name}-0") is not None)
    return found


@pytest.mark.parametrize(
    ("tops", "expected"),
    [
        ([0.1, 0.2, 0.3], [False, False, False]),  # each is the best so far
        ([0.5, 0.4, 0.3], [False, True, True]),
        ([0.5, 0.4, 0.3, 0.45], [False, True, True, False]),  # second of four
        ([0.5, 0.5], [False, False]),
    ],
)
def test_the_better_half_goes_on(place, tops, expected):
    names = "abcd"[: len(tops)]
    assert stopped(place, study(*names), 2.5, tops) == expected


def test_nothing_is_judged_before_a_quarter(place):
    assert stopped(place, study("a", "b"), 2.4, [0.5, 0.1]) == [False, False]


def test_a_run_is_judged_again_at_half_and_not_at_its_end(place):
    asked = study("a", "b")
    judge = Halving(asked, place)
    for epoch in (3.0, 5.0, 10.0):
        says(place, "a-0", epoch, 0.5)
    assert why(judge, asked, place, "a-0") is None
    says(place, "b-0", 3.0, 0.6)
    assert why(judge, asked, place, "b-0") is None
    says(place, "b-0", 4.0, 0.1)
    assert why(judge, asked, place, "b-0") is None
    says(place, "b-0", 5.0, 0.3)
    reason = "at 50% of its length accuracy was 30.00%, and the best with seed 0 had 60.00% by then"
    assert why(judge, asked, place, "b-0") == reason
    late = study("c", "d")
    judge = Halving(late, place)
    says(place, "c-0", 10.0, 0.5)
    says(place, "d-0", 10.0, 0.1)
    assert why(judge, late, place, "d-0") is None


def test_each_seed_has_its_own_competition(place):
    asked = study("a", "b", seeds=2)
    judge = Halving(asked, place)
    says(place, "a-0", 5.0, 0.9)
    says(place, "b-1", 5.0, 0.1)
    assert why(judge, asked, place, "b-1") is None
    says(place, "b-0", 5.0, 0.1)
    assert "seed 0" in str(why(judge, asked, place, "b-0"))


def test_rungs_are_shares_of_each_runs_own_length(place):
    short = vary(RECIPE, {"length": steps(100), "selection.every": steps(10)})
    asked = Study(
        kind="ablate",
        question="?",
        cells=(Cell(name="long", recipe=RECIPE), Cell(name="short", recipe=short)),
        seeds=(0,),
    )
    judge = Halving(asked, place)
    says(place, "long-0", 2.5, 0.5)
    says(place, "short-0", 9.0, 0.1, step=20)
    assert why(judge, asked, place, "short-0") is None
    says(place, "short-0", 9.0, 0.1, step=30)
    assert "at 30% of its length" in str(why(judge, asked, place, "short-0"))


def test_figures_of_earlier_sessions_count_and_are_not_judged_anew(place):
    asked = study("a", "b", "c")
    for name in ("a-0", "b-0"):
        says(place, name, 3.0, 0.5 if name == "a-0" else 0.1)
    judge = Halving(asked, place)
    assert why(judge, asked, place, "b-0") is None  # it was let go on then
    says(place, "c-0", 3.0, 0.2)
    assert "had 50.00%" in str(why(judge, asked, place, "c-0"))


@pytest.mark.parametrize(
    ("length", "every", "expected"),
    [
        (epochs(10), epochs(1), True),
        (epochs(10), epochs(10), False),
        (steps(5), steps(20), False),
        (steps(100), epochs(1), True),
    ],
)
def test_a_run_that_looks_at_its_selection_only_at_the_end_says_nothing_early(
    length: Duration, every: Duration, expected
):
    recipe = vary(RECIPE, {"length": length, "selection.every": every})
    assert reports_early(recipe) is expected


def test_rows_that_say_nothing_are_named_and_a_study_of_them_refused(place):
    late = vary(RECIPE, {"selection.every": epochs(10)})
    two = vary(RECIPE, {"phases": (RECIPE.phases[0], RECIPE.phases[0])})
    cells = [Cell(name=name, recipe=each) for name, each in (("late", late), ("two", two))]
    with pytest.raises(RecipeError, match=r"selection\.every below the length"):
        Halving(Study(kind="ablate", question="?", cells=tuple(cells)), place)
    cells.append(Cell(name="a", recipe=RECIPE))
    asked = Study(kind="ablate", question="?", cells=tuple(cells))
    assert Halving(asked, place).silent == ("late", "two")


def test_it_says_which_extra_is_missing(place, monkeypatch):
    monkeypatch.setattr(halving, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"vertebra\[halving\]"):
        Halving(study("a"), place)


def test_optuna_says_nothing(place, capfd, caplog):
    stopped(place, study("a", "b"), 2.5, [0.5, 0.1])
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("processes", [1, 2])
def test_a_hopeless_run_is_stopped_saved_and_noted(place, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(task, "PROGRAM", pretend(tmp_path))
    monkeypatch.setattr(task, "POLL_SECONDS", 0.02)
    asked = study("scores 0.5 to 100", "scores 0.1 to 30", "scores 0.9 to 100")
    place.open(asked)
    if processes == 2:  # so that which is first does not depend on the machine
        for epoch in (3.0, 5.0):
            says(place, "scores-0.5-to-100-0", epoch, 0.5)
        place.run("scores-0.5-to-100-0").record.touch()
    judge = Halving(asked, place)
    conduct(asked, place, Local(processes=processes, watch=judge.why_stop))
    assert ends(place) == {"scores-0.1-to-30-0": "stopped"}
    assert (place.run("scores-0.1-to-30-0").path / "saved").exists()
    assert place.is_finished("scores-0.9-to-100-0")
    for name in ("scores-0.5-to-100-0", "scores-0.9-to-100-0"):  # no figures that could be read
        place.run(name).record.unlink()
    row = read_results(place).rows[1]
    assert row.runs[0].state == "stopped"
    assert "at 30% of its length accuracy was 10.00%" in row.runs[0].reason
