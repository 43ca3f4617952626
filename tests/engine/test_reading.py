"""What a host reads of a device, and that a step reads nothing."""

import pytest
import torch
from tests.engine.drawn import Plain, drawn_batches, plain_training
from tests.engine.waits import META, Waits
from torch import nn

from vertebra.contracts import Losses, Progress
from vertebra.engine.averaging import Averaging
from vertebra.engine.loop import parallel_and_compiled, train, update
from vertebra.engine.optimizers import LARS, SGD, AdamW
from vertebra.engine.reading import Reading
from vertebra.engine.schedules import Cosine


def test_a_reading_has_the_values_of_the_tensor():
    assert Reading(torch.tensor([1.5, float("inf")])).values == [1.5, float("inf")]
    assert Reading(torch.tensor([2, 0], dtype=torch.int32)).values == [2, 0]


def unread_step(method: nn.Module, optimizer=None, **changes) -> list[str]:
    """Returns what waits in one update of tensors that cannot be read."""
    method = method.to(META)
    optimizer = (optimizer or SGD(lr=0.1)).build(method.parameter_groups(), META)
    training = plain_training(2, method=method, optimizer=optimizer, device=META, **changes)
    batches = iter([each.to(META) for each in drawn_batches(training.accumulate, 4)])
    with Waits() as waits:
        update(training, parallel_and_compiled(training), batches, Progress(0, 2))
    return waits.found


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), LARS(lr=0.1)])
def test_an_update_waits_for_nothing(optimizer):
    method = Plain(dropout=0.5)
    average = Averaging().build(method.deployable())
    average.module.to(META)
    found = unread_step(
        method,
        optimizer,
        accumulate=2,
        clip_norm=1.0,
        average=average,
        schedule=Cosine(warmup=plain_training(1).schedule.warmup),
    )
    assert found == []


@pytest.mark.parametrize("read", [torch.Tensor.item, bool, float, torch.Tensor.tolist])
def test_a_method_that_reads_its_loss_is_found(read):
    class Reading(Plain):
        def forward(self, batch, progress):
            losses = super().forward(batch, progress)
            read(losses.total.detach())
            return losses

    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        unread_step(Reading())


def test_a_method_that_sends_a_number_is_found():
    class Sending(Plain):
        def forward(self, batch, progress):
            total, parts = super().forward(batch, progress)
            return Losses(total * torch.tensor(1.0).to(META), parts)

    assert unread_step(Sending()) == ["aten._to_copy.default"]


@pytest.mark.gpu
def test_a_reading_waits_for_what_was_queued_before_it_alone():
    cuda = torch.device("cuda")
    reading = Reading(torch.arange(3.0, device=cuda))
    torch.cuda._sleep(2_000_000_000)
    last = torch.cuda.Event()
    last.record()
    assert reading.values == [0, 1, 2]
    assert not last.query()


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), AdamW(lr=0.1), LARS(lr=0.1)])
def test_on_a_gpu_an_update_waits_for_nothing(optimizer):
    cuda = torch.device("cuda", 0)
    method = Plain(dropout=0.5).to(cuda)
    built = optimizer.build(method.parameter_groups(), cuda)
    training = plain_training(3, method=method, optimizer=built, device=cuda, clip_norm=1.0)
    batches = [each.to(cuda) for each in drawn_batches(3, 4)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        train(training, batches, observers=[])
    finally:
        torch.cuda.set_sync_debug_mode("default")
