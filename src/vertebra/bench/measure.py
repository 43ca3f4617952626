"""The measurement of some models: each by itself, then all in turn, in rounds."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime

import torch

from vertebra.bench.candidate import Candidate
from vertebra.bench.latency import ROUNDS, interleaved
from vertebra.bench.record import BenchRecord
from vertebra.bench.settings import BenchSettings
from vertebra.bench.work import Subject, synchronizer
from vertebra.records import Json


def measure(
    subjects: Sequence[Subject],
    settings: BenchSettings,
    *,
    machine: Mapping[str, Json],
    on_progress: Callable[[int, int], None] | None = None,
) -> list[BenchRecord]:
    """Returns a record for each model, in order; one that cannot be measured says why in it.

    machine:     what the records say of versions and device.
    on_progress: hears how many pieces of the work are done, and of how many.
    """
    total, done = len(subjects) + ROUNDS, 0

    def advance() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    with _threads(settings.threads), _any_number_of_shapes() if settings.compile else nullcontext():
        settings = replace(settings, threads=torch.get_num_threads())
        candidates = [_candidate(subject, settings, machine) for subject in subjects]
        for each in candidates:
            each.examine()
            advance()
        _time(candidates, settings, advance)
    for each in candidates:
        each.compare(candidates[0])
    return [each.record for each in candidates]


def _candidate(subject: Subject, settings: BenchSettings, machine: Mapping[str, Json]) -> Candidate:
    record = BenchRecord(
        model=subject.name,
        image_size=subject.image_size,
        settings=settings,
        machine=machine,
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Candidate(subject, record)


def _time(
    candidates: Sequence[Candidate], settings: BenchSettings, on_round: Callable[[], None]
) -> None:
    """Times the calls of all candidates in the same rounds."""
    works = {
        (place, kind): work
        for place, each in enumerate(candidates)
        for kind, work in each.works.items()
    }
    found = interleaved(
        works,
        budget_s=settings.budget_s,
        synchronize=synchronizer(settings.torch_device),
        on_round=on_round,
        on_failure=lambda key, error: candidates[key[0]].fail(error, doing=f"timing its {key[1]}"),
    )
    for place, each in enumerate(candidates):
        each.note({kind: found[place, kind] for kind in each.works if (place, kind) in found})


@contextmanager
def _threads(count: int | None) -> Generator[None]:
    """Has torch compute on that many threads of the CPU within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _any_number_of_shapes() -> Generator[None]:
    """Has torch compile all the models and batch sizes that share a line of ours, not eight."""
    from torch._dynamo import config

    with config.patch(recompile_limit=10_000):
        yield
