import pytest
import torch
from tests.engine.drawn import CPU, Close, drawn_batches, plain_training, trained
from torch import nn

from vertebra.engine import checkpoint
from vertebra.engine.averaging import Averaging
from vertebra.engine.clock import Clock
from vertebra.engine.optimizers import LARS, SGD, AdamW
from vertebra.engine.state import collect, restore, size_bytes
from vertebra.errors import CheckpointError


def averaged_training(steps, optimizer, **changes):
    training = plain_training(steps, **changes)
    method = training.method
    return plain_training(
        steps,
        method=method,
        optimizer=optimizer.build(method.parameter_groups(), CPU),
        average=Averaging(decay=0.9).build(method.deployable()),
    )


def flat(training):
    tensors, numbers = collect(training)
    named = {f"{entry}.{name}": t.clone() for entry, g in tensors.items() for name, t in g.items()}
    return named, numbers["groups"]


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1), AdamW(lr=0.1), LARS(lr=0.1)])
def test_a_restored_training_goes_on_as_the_one_it_was_taken_from(tmp_path, optimizer):
    whole = averaged_training(6, optimizer)
    trained(whole, drawn_batches(6, 8))
    half = averaged_training(6, optimizer)
    with pytest.raises(RuntimeError, match="enough"):
        trained(half, drawn_batches(6, 8), Stop(3))
    tensors, numbers = collect(half)
    checkpoint.save(tmp_path / "last", tensors=tensors, state=numbers)
    saved = checkpoint.load(tmp_path / "last")

    other = averaged_training(6, optimizer)
    for p in other.method.parameters():
        nn.init.zeros_(p)
    restore(other, saved.tensors, saved.state)
    trained(other, drawn_batches(3, 8, start=3), start=3)
    (found, groups), (expected, as_groups) = flat(other), flat(whole)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert groups == as_groups


class Stop(Close):
    def __init__(self, step):
        self.step = step

    def after_step(self, moment):
        if moment.progress.step == self.step:
            raise RuntimeError("enough")


def test_the_state_of_another_training_is_refused():
    tensors, numbers = collect(plain_training(1))
    averaged = averaged_training(1, SGD(lr=0.1))
    with pytest.raises(CheckpointError, match="another model or method"):
        restore(averaged, tensors, numbers)  # there is no average
    tensors["method"] = {"model.0.weight": torch.zeros(2)}
    with pytest.raises(CheckpointError, match="resume with the recipe it was saved under"):
        restore(plain_training(1), tensors, numbers)


def test_size_is_what_a_checkpoint_takes(tmp_path):
    tensors, numbers = collect(averaged_training(1, SGD(lr=0.1)))
    checkpoint.save(tmp_path / "last", tensors=tensors, state=numbers)
    on_disk = sum(p.stat().st_size for p in (tmp_path / "last").glob("*.safetensors"))
    assert size_bytes(tensors) <= on_disk < size_bytes(tensors) + 4000


def test_a_clock_that_goes_on_counts_both_sessions_from_the_first_start():
    first = Clock()
    state = {**first.state(), "seconds": 100.0}
    second = Clock()
    second.started = "later"
    second.restore(state)
    assert second.started == first.started
    assert first.started.endswith("+00:00")
    assert 100 < second.seconds < 110
    assert second.state()["seconds"] > 100
