"""Makes the runs of a study that are missing; a finished one is never made again."""

from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from typing import NamedTuple, Protocol

from vertebra.errors import Interrupted
from vertebra.records import write_json
from vertebra.studies.place import Planned, StudyDirectory, runs_of
from vertebra.studies.study import Study
from vertebra.studies.task import End, State, Task
from vertebra.studies.termination import terminated_as_interrupted


class Executor(Protocol):
    """Where runs go."""

    def run(self, tasks: Sequence[Task]) -> Generator[End]:
        """Yields how each task ended, as they end; closed early, it stops those under way."""
        ...


class StudyView(Protocol):
    """Shows how a study goes on."""

    def begin(self, *, done: int, missing: int) -> None:
        """So many runs are there already, and so many are to be made."""
        ...

    def end(self, end: End) -> None:
        """A run has ended."""
        ...


class Missing(NamedTuple):
    """The runs that are there, and those that are to be made."""

    done: tuple[Planned, ...]
    missing: tuple[Planned, ...]


def conduct(
    study: Study,
    place: StudyDirectory,
    executor: Executor,
    *,
    view: StudyView | None = None,
    again: Collection[State] = (),
    keeps_weights: bool = False,
) -> None:
    """Makes what is missing. A run that fails leaves its reason, and the others go on.

    again:         runs that ended so before are made again, "failed" or "stopped".
    keeps_weights: else those of a finished run are removed.

    Raises:
        Interrupted: runs were stopped from outside; the same again goes on.
    """
    there = what_is_missing(study, place, again=again)
    tasks = [place.task(each, threads=study.threads) for each in there.missing]
    for task in tasks:
        place.end(task.name).unlink(missing_ok=True)
    if view is not None:
        view.begin(done=len(there.done), missing=len(tasks))
    is_whole = True
    try:
        with terminated_as_interrupted(), closing(executor.run(tasks)) as ends:
            for end in ends:
                _note(end, place, keeps_weights=keeps_weights)
                is_whole = is_whole and end.state != "interrupted"
                if view is not None:
                    view.end(end)
    except KeyboardInterrupt:
        is_whole = False
    if not is_whole:
        raise Interrupted(f"stopped and saved; go on with `vertebra study resume {place.path}`")


def what_is_missing(
    study: Study, place: StudyDirectory, *, again: Collection[State] = ()
) -> Missing:
    """Returns which runs are there and which are not; one that failed or was stopped counts as
    there, unless it is to be made `again`."""
    done: dict[str, Planned] = {}
    missing: dict[str, Planned] = {}
    for planned in runs_of(study):
        why = place.why_not(planned.name)
        has_ended = why is not None and why["state"] not in again
        is_there = place.is_finished(planned.name) or has_ended
        (done if is_there else missing).setdefault(planned.name, planned)
    return Missing(tuple(done.values()), tuple(missing.values()))


def _note(end: End, place: StudyDirectory, *, keeps_weights: bool) -> None:
    """Writes why a run has no record; one that was interrupted is simply missing."""
    name = end.task.name
    if place.is_finished(name):
        if not keeps_weights:
            place.drop_weights(name)
    elif end.state != "interrupted":
        write_json(place.end(name), {"state": end.state, "reason": end.reason})
