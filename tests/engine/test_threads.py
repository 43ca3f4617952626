import pytest
import torch

from vertebra.engine import threads


@pytest.fixture(autouse=True)
def torchs(monkeypatch: pytest.MonkeyPatch):
    """Has torch take four threads, the environment say nothing, and puts all back."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def limited_to(cores: int, device: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    threads.limit_threads(torch.device(device))
    return torch.get_num_threads()


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (3, 3), (16, 4)])
def test_no_more_threads_than_cores(cores: int, expected: int, monkeypatch: pytest.MonkeyPatch):
    assert limited_to(cores, "cpu", monkeypatch) == expected


def test_other_devices_leave_threads_alone(monkeypatch: pytest.MonkeyPatch):
    assert limited_to(2, "meta", monkeypatch) == 4


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_the_environment_says_stays(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "4")
    assert limited_to(2, "cpu", monkeypatch) == 4
