import pytest
import torch
from torch import nn

from vertebra.engine.execution import Execution
from vertebra.errors import DeviceError, RecipeError


def machine(monkeypatch, *, cuda: int = 0, mps: bool = False, bf16: bool = True) -> None:
    """Lets torch see these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("name", "local_rank", "there", "expected"),
    [
        ("auto", 0, {}, "cpu"),
        ("auto", 3, {}, "cpu"),
        ("auto", 0, {"mps": True}, "mps"),
        ("auto", 0, {"cuda": 2, "mps": True}, "cuda:0"),
        ("auto", 1, {"cuda": 2}, "cuda:1"),
        ("cuda", 1, {"cuda": 2}, "cuda:1"),
        ("cuda:1", 0, {"cuda": 2}, "cuda:1"),
        ("cpu", 1, {"cuda": 2}, "cpu"),
        ("mps", 0, {"mps": True}, "mps"),
    ],
)
def test_a_process_gets_its_device(monkeypatch, name, local_rank, there, expected):
    machine(monkeypatch, **there)
    assert Execution(device=name).resolve(local_rank=local_rank) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "local_rank", "there", "message"),
    [
        ("cuda", 0, {}, r"'cuda:0' is not there \(0 CUDA devices found\)"),
        ("cuda:2", 0, {"cuda": 2}, r"'cuda:2' is not there \(2 CUDA devices found\)"),
        ("auto", 2, {"cuda": 2}, r"'cuda:2' is not there .* fewer processes"),
        ("cuda:0", 1, {"cuda": 2}, "'cuda:0' is one for several processes; use device cuda"),
        ("mps", 0, {}, "'mps' is not there"),
        ("gpu", 0, {}, "'gpu' is unknown; use auto"),
        ("meta", 0, {}, "'meta' is not supported; use auto"),
    ],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch, name, local_rank, there, message):
    machine(monkeypatch, **there)
    with pytest.raises(DeviceError, match=message):
        Execution(device=name).resolve(local_rank=local_rank)


def test_half_precision_without_its_arithmetic_is_refused(monkeypatch):
    machine(monkeypatch, cuda=1, bf16=False)
    with pytest.raises(DeviceError, match="no bf16 arithmetic; use precision fp32"):
        Execution(precision="bf16").resolve()
    assert Execution(precision="bf16", device="cpu").resolve().type == "cpu"


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_precision_is_that_of_products(precision, dtype):
    device = torch.device("cpu")
    with Execution(precision=precision).autocast(device):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == getattr(torch, dtype)


@pytest.mark.parametrize("channels_last", [True, False])
def test_convolutions_are_laid_out_as_asked(channels_last):
    module = nn.Conv2d(3, 4, 3)
    execution = Execution(channels_last=channels_last)
    assert execution.place(module, torch.device("cpu")) is module
    laid_out = module.weight.is_contiguous(memory_format=torch.channels_last)
    assert laid_out == channels_last


@pytest.mark.parametrize(
    ("cores", "processes", "in_memory", "expected"),
    [(1, 1, False, 1), (4, 1, False, 4), (64, 1, False, 8), (8, 4, False, 2), (2, 4, False, 1),
     (64, 1, True, 0)],
)  # fmt: skip
def test_workers_share_the_cores(monkeypatch, cores, processes, in_memory, expected):
    monkeypatch.setattr("vertebra.engine.execution.usable_cores", lambda: cores)
    found = Execution().worker_count(in_memory=in_memory, processes=processes)
    assert found == expected


def test_a_number_of_workers_that_is_asked_for_is_taken():
    assert Execution(workers=3).worker_count(in_memory=True, processes=2) == 3
    with pytest.raises(RecipeError, match="workers=-1; give 0 or more"):
        Execution(workers=-1)


def test_compiling_and_gradient_checkpointing_exclude_each_other():
    with pytest.raises(RecipeError, match="compile and gradient_checkpointing exclude each other"):
        Execution(compile=True, gradient_checkpointing=True)


@pytest.mark.parametrize("saves_memory", [False, True])
def test_freed_memory_is_kept_unless_memory_is_to_be_saved(monkeypatch, saves_memory):
    called: list[str] = []
    for name in ("keep_in_heap", "keep_out_of_heap", "limit_threads"):
        monkeypatch.setattr(f"vertebra.engine.execution.{name}", lambda _, n=name: called.append(n))
    execution = Execution(gradient_checkpointing=saves_memory)
    execution.settle(torch.device("cpu"))
    assert called == (["limit_threads"] if saves_memory else ["limit_threads", "keep_out_of_heap"])
    called.clear()
    execution.keep_memory(torch.device("cpu"))
    assert called == ([] if saves_memory else ["keep_in_heap"])


def test_freed_memory_is_kept_from_the_first_answer_on(monkeypatch):
    called: list[torch.device] = []
    monkeypatch.setattr("vertebra.engine.execution.keep_in_heap", called.append)
    network, device = nn.Identity(), torch.device("cpu")
    Execution().keep_memory_after(network, device)
    assert not called
    for _ in range(2):
        network(torch.ones(1))
    assert called == [device]
