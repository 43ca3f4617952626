"""An update in the order of memory is the same to the bit, and leaves everything as it was."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from vertebra.contracts import ParameterGroup
from vertebra.engine.memory_order import in_memory_order
from vertebra.engine.optimizers import LARS, SGD, AdamW, OptimizerSpec
from vertebra.layers.layout import lay_out_by_pixel

CPU = torch.device("cpu")


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    net = nn.ModuleList(
        [nn.Conv2d(96, 80, 3), nn.Conv2d(300, 300, 1), nn.Conv3d(60, 50, 3), nn.Linear(5, 2)]
    )
    for each in net.parameters():
        nn.init.normal_(each, generator=generator)
    lay_out_by_pixel(net)
    return [*net.parameters()]


def draw_gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for each in parameters:
        each.grad = torch.empty_like(each).normal_(generator=generator)


def updated(spec: OptimizerSpec, step: Callable[[torch.optim.Optimizer], None]):
    """Returns weights after three updates, and their optimizer."""
    parameters = weights()
    optimizer = spec.build([ParameterGroup("all", parameters, decays=True)], CPU)
    for number in range(3):
        draw_gradients(parameters, number)
        step(optimizer)
    return parameters, optimizer


def plainly(optimizer: torch.optim.Optimizer) -> None:
    optimizer.step()


def in_order(optimizer: torch.optim.Optimizer) -> None:
    with in_memory_order(optimizer):
        optimizer.step()


@pytest.mark.parametrize("spec", [SGD(lr=0.1), AdamW(lr=0.1), LARS(lr=0.1)], ids=str)
def test_weights_and_state_are_the_same_to_the_bit(spec: OptimizerSpec):
    wanted, their = updated(spec, plainly)
    found, ours = updated(spec, in_order)
    for one, other in zip(wanted, found, strict=True):
        assert torch.equal(one, other) and one.stride() == other.stride()
        assert other.grad is not None and other.grad.shape == other.shape
        for name, value in their.state[one].items():
            kept = ours.state[other][name]
            assert torch.equal(value, kept)
            assert not isinstance(kept, torch.Tensor) or kept.stride() == value.stride()


def test_nothing_is_copied_in_an_update():
    parameters = weights()
    optimizer = SGD(lr=0.1).build([ParameterGroup("all", parameters, decays=True)], CPU)
    draw_gradients(parameters, 0)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        in_order(optimizer)
    assert {each.key for each in seen.key_averages()}.isdisjoint({"aten::clone", "aten::copy_"})


def test_a_weight_without_gradient_stays():
    parameters = weights()
    optimizer = SGD(lr=0.1).build([ParameterGroup("all", parameters, decays=True)], CPU)
    draw_gradients(parameters[1:], 0)
    before = parameters[0].detach().clone()
    in_order(optimizer)
    assert torch.equal(parameters[0], before) and parameters[0].grad is None


def test_a_gradient_that_lies_otherwise_is_left_to_the_optimizer():
    parameters = weights()
    optimizer = SGD(lr=0.1).build([ParameterGroup("all", parameters, decays=True)], CPU)
    draw_gradients(parameters, 0)
    assert parameters[0].grad is not None
    parameters[0].grad = parameters[0].grad.contiguous()
    with in_memory_order(optimizer):
        assert parameters[0].shape == (80, 96, 3, 3)
        assert parameters[4].shape == (50, 3, 3, 3, 60)


def test_weights_are_turned_back_after_an_error():
    parameters = weights()
    optimizer = SGD(lr=0.1).build([ParameterGroup("all", parameters, decays=True)], CPU)
    draw_gradients(parameters, 0)
    with pytest.raises(ZeroDivisionError), in_memory_order(optimizer):
        assert parameters[0].shape == (80, 3, 3, 96)
        raise ZeroDivisionError
    assert parameters[0].shape == (80, 96, 3, 3)


def test_small_weights_stay_as_they_are():
    small = nn.Conv2d(8, 8, 3)
    lay_out_by_pixel(small)
    optimizer = SGD(lr=0.1).build([ParameterGroup("all", [small.weight], decays=True)], CPU)
    draw_gradients([small.weight], 0)
    with in_memory_order(optimizer):
        assert small.weight.shape == (8, 8, 3, 3)
