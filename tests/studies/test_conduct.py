import os
import signal
from collections.abc import Generator, Sequence

import pytest
from tests.studies.made import RECIPE
from tests.studies.pretended import ends, study

from vertebra.errors import Interrupted
from vertebra.recipes.vary import vary
from vertebra.studies.conduct import conduct, what_is_missing
from vertebra.studies.place import StudyDirectory
from vertebra.studies.study import Cell, Study
from vertebra.studies.task import End, State, Task


class Pretended:
    """An executor whose runs end at once, as their names say: as "finished" unless told."""

    def __init__(self, **states: State | type[BaseException]) -> None:
        self.states = states
        self.made: list[str] = []
        self.is_closed = False

    def run(self, tasks: Sequence[Task]) -> Generator[End]:
        try:
            for task in tasks:
                yield self._end(task)
        finally:
            self.is_closed = True

    def _end(self, task: Task) -> End:
        self.made.append(task.name)
        state = self.states.get(task.name.partition("-")[0], "finished")
        if not isinstance(state, str):
            raise state
        task.directory.mkdir(parents=True, exist_ok=True)
        if state == "finished":
            (task.directory / "checkpoints").mkdir()
            (task.directory / "record.json").write_text("{}")
        return End(task, state, "" if state == "finished" else "it had its reason", 1.0)


class Seen:
    """A view that remembers."""

    def __init__(self) -> None:
        self.counts: tuple[int, int] | None = None
        self.states: list[str] = []

    def begin(self, *, done: int, missing: int) -> None:
        self.counts = (done, missing)

    def end(self, end: End) -> None:
        self.states.append(end.state)


@pytest.fixture
def place(tmp_path) -> StudyDirectory:
    return StudyDirectory(tmp_path / "study")


def test_runs_are_made_seed_by_seed_and_a_finished_one_never_again(place):
    asked, executor, view = study("a", "b", seeds=2), Pretended(), Seen()
    conduct(asked, place, executor, view=view)
    assert executor.made == ["a-0", "b-0", "a-1", "b-1"]
    assert (view.counts, view.states) == ((0, 4), ["finished"] * 4)
    later = Pretended()
    conduct(asked, place, later, view=view)
    assert (later.made, view.counts) == ([], (4, 0))


def test_a_failure_leaves_its_reason_and_does_not_stop_the_others(place):
    executor, view = Pretended(a="failed"), Seen()
    conduct(study("a", "b"), place, executor, view=view)
    assert view.states == ["failed", "finished"]
    assert place.why_not("a-0") == {"state": "failed", "reason": "it had its reason"}
    assert ends(place) == {"a-0": "failed"}


def test_failed_and_stopped_runs_are_made_again_only_when_asked(place):
    asked = study("a", "b", "c")
    conduct(asked, place, Pretended(a="failed", b="stopped"))
    assert ends(place) == {"a-0": "failed", "b-0": "stopped"}
    for again, made in (((), []), (("failed",), ["a-0"]), (("failed", "stopped"), ["b-0"])):
        executor = Pretended()
        conduct(asked, place, executor, again=again)
        assert executor.made == made
    assert ends(place) == {}


def test_a_run_that_is_tried_again_and_interrupted_is_missing_from_then_on(place):
    asked = study("a")
    conduct(asked, place, Pretended(a="failed"))
    with pytest.raises(Interrupted):
        conduct(asked, place, Pretended(a=KeyboardInterrupt), again=("failed",))
    assert [each.name for each in what_is_missing(asked, place).missing] == ["a-0"]


def test_an_interrupted_study_closes_its_executor_and_says_how_to_go_on(place):
    asked, executor = study("a", "b", "c"), Pretended(b=KeyboardInterrupt)
    with pytest.raises(Interrupted, match=rf"`vertebra study resume {place.path}`"):
        conduct(asked, place, executor)
    assert executor.is_closed
    assert ends(place) == {}
    later = Pretended()
    conduct(asked, place, later)
    assert later.made == ["b-0", "c-0"]


def test_sigterm_is_an_interruption(place):
    class Terminated(Pretended):
        def _end(self, task: Task) -> End:
            os.kill(os.getpid(), signal.SIGTERM)
            return super()._end(task)

    executor, before = Terminated(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        conduct(study("a"), place, executor)
    assert executor.is_closed
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_someone_stopped_is_missing_and_the_others_are_made(place):
    asked, executor = study("a", "b"), Pretended(a="interrupted")
    with pytest.raises(Interrupted, match="resume"):
        conduct(asked, place, executor)
    assert executor.made == ["a-0", "b-0"]
    there = what_is_missing(asked, place)
    assert [each.name for each in there.done] == ["b-0"]
    assert [each.name for each in there.missing] == ["a-0"]


@pytest.mark.parametrize("keeps", [False, True])
def test_weights_of_finished_runs_are_kept_only_when_asked(place, keeps):
    conduct(study("a"), place, Pretended(), keeps_weights=keeps)
    assert place.run("a-0").checkpoints.exists() is keeps


def test_rows_with_the_same_recipe_share_a_run(place):
    renamed = vary(RECIPE, {"name": "another"})
    cells = (Cell(name="a", recipe=RECIPE), Cell(name="b", recipe=renamed))
    executor = Pretended()
    conduct(Study(kind="ablate", question="?", cells=cells, seeds=(0,)), place, executor)
    assert executor.made == ["a-0"]
