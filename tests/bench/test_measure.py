from dataclasses import replace

import pytest
import torch
from tests.bench.drawn import QUICK, failing, small_net, subject

from vertebra.bench.candidate import Candidate
from vertebra.bench.failure import reason
from vertebra.bench.latency import ROUNDS, Spread
from vertebra.bench.measure import measure
from vertebra.bench.work import Subject


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """No batch above two images and no long warm-up."""
    monkeypatch.setattr("vertebra.bench.candidate.MOST", 2)
    monkeypatch.setattr("vertebra.bench.latency._WARM_UP_S", 0.0)


def test_a_record_holds_every_figure():
    (found,) = measure([subject()], QUICK, machine={"device": "this"})
    assert None not in found.figures().values()
    assert (found.model, found.image_size, found.failure) == ("small", 8, None)
    assert found.machine == {"device": "this"}
    assert found.parameters == sum(each.numel() for each in small_net().parameters())
    assert found.macs["convolution"] == 64 * 4 * 27
    latency = found.latency
    assert 0 < latency.p25_ms <= latency.p50_ms <= latency.p75_ms <= latency.p95_ms
    assert latency.calls >= 2 * ROUNDS
    assert latency.ratio == Spread(p25=1, p50=1, p75=1)
    assert found.training_memory_mb > found.inference_memory_mb > 0


def test_the_larger_model_takes_more_of_everything():
    small, large = measure(
        [subject(image_size=32), subject("large", channels=256, image_size=32)],
        replace(QUICK, batch_size=2),
        machine={},
    )
    for name in ("parameters", "macs", "activations", "inference_memory_mb", "latency_ms"):
        assert large.figures()[name] > small.figures()[name], name
    assert large.latency.ratio.p50 > 1 > large.throughput.ratio.p50
    assert small.throughput.batch_size == small.latency.batch_size == 2
    rates = [2000 / each.latency.p50_ms for each in (small, large)]
    assert [each.throughput.images_per_s for each in (small, large)] == pytest.approx(rates)


def test_a_model_that_fails_says_why_and_stops_no_other():
    too_large = failing("huge", torch.OutOfMemoryError("CUDA out of memory. Tried to"))
    takes_one_size = Subject(name="fixed", image_size=9, build=lambda: fixed_net())
    found = measure([too_large, subject(), takes_one_size], QUICK, machine={})
    assert [each.model for each in found] == ["huge", "small", "fixed"]
    assert found[0].failure == "counting its operations: out of memory"
    assert found[1].failure is None and found[1].latency is not None
    assert found[1].latency.ratio is None  # the first model has none to compare with
    assert found[2].failure.startswith("counting its operations: ")


def fixed_net():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))


def test_a_model_that_cannot_be_trained_is_still_timed():
    class Untrainable(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small_net()

        def forward(self, images):
            if self.training:
                raise ValueError("more than 1 value per channel is expected")
            return self.net(images)

    (found,) = measure([Subject(name="fixed", image_size=8, build=Untrainable)], QUICK, machine={})
    assert found.failure.startswith("a training step of 2: more than 1 value per channel")
    assert found.training_memory_mb is None and found.latency is not None


@pytest.mark.parametrize("kind", ["latency", "throughput"])
def test_a_model_of_which_one_call_failed_has_no_times(kind):
    (bare,) = measure([failing("bare", ValueError("no"))], QUICK, machine={})
    candidate = Candidate(subject(), bare)
    candidate.works = {"latency": int, "throughput": int}
    candidate.note({kind: [[1.0], [2.0]]})
    assert candidate.record == bare
    candidate.note({"latency": [[1.0], [2.0]], "throughput": [[1.0], [4.0]]})
    assert (candidate.record.latency.p50_ms, candidate.record.throughput.images_per_s) == (
        1500,
        0.4,
    )


def test_progress_is_told_to_the_end():
    heard = []
    measure([subject(), failing("bad", ValueError("no"))], QUICK, machine={},
            on_progress=lambda done, total: heard.append((done, total)))  # fmt: skip
    assert heard == [(done, 2 + ROUNDS) for done in range(1, 3 + ROUNDS)]


def test_threads_are_set_for_the_measurement_alone():
    before, seen = torch.get_num_threads(), []

    def build():
        seen.append(torch.get_num_threads())
        return small_net()

    own = Subject(name="own", image_size=8, build=build)
    (found,) = measure([own], replace(QUICK, threads=2), machine={})
    assert set(seen) == {2} and found.settings.threads == 2
    assert torch.get_num_threads() == before


def test_a_reason_is_one_short_line():
    said = reason(RuntimeError("first   line " + "x" * 300 + "\nsecond"), doing="inference of 1")
    assert said.startswith("inference of 1: first line x") and said.endswith("…")
    assert len(said) < 200
    cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")
    assert reason(cpu, doing="x") == "x: out of memory"
    assert reason(AssertionError(), doing="x") == "x: AssertionError"
