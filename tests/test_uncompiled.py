"""Torch's optimizers step, store and load as they do, without torch's compiler."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from vertebra import uncompiled

PAIRS = [
    (uncompiled.SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (uncompiled.AdamW, torch.optim.AdamW, {"weight_decay": 0.1}),
]


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(3, 4, generator=generator)) for _ in range(3)]


def step(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer.zero_grad()
    assert all(each.grad is None for each in parameters)
    for each in parameters:
        each.grad = torch.randn(3, 4, generator=generator)
    optimizer.step()


@pytest.mark.parametrize(("ours", "torchs", "settings"), PAIRS)
def test_updates_and_states_are_torchs(ours, torchs, settings):
    made = [(each, weights()) for each in (ours, torchs)]
    built = [
        (kind([{"params": some[:2], "lr": 0.3}], lr=0.1, **settings), some) for kind, some in made
    ]
    for optimizer, some in built:
        optimizer.add_param_group({"params": some[2:]})
        for seed in range(2):
            step(optimizer, some, seed)
    (one, found), (other, wanted) = built
    assert all(map(torch.equal, found, wanted))
    assert one.state_dict()["state"].keys() == other.state_dict()["state"].keys() == {0, 1, 2}
    anew = ours([{"params": found[:2]}, {"params": found[2:]}], lr=0.7, **settings)
    anew.load_state_dict(copy.deepcopy(other.state_dict()))
    for optimizer, some in ((anew, found), (other, wanted)):
        step(optimizer, some, 2)
    assert all(map(torch.equal, found, wanted))
    assert all(each.requires_grad for each in found)


def test_the_compiler_is_not_imported():
    code = """
import sys, torch
from vertebra import uncompiled

class Watch(uncompiled.Mode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        print(func.name())
        return func(*args, **(kwargs or {}))

weight = torch.nn.Parameter(torch.ones(2))
with Watch():
    (weight * 2).sum().backward()
for kind in (uncompiled.SGD, uncompiled.AdamW):
    optimizer = kind([weight], lr=0.1)
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print([each for each in ("torch._dynamo", "sympy") if each in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *seen, last = ran.stdout.splitlines()
    assert seen[:2] == ["aten::mul.Tensor", "aten::sum"] and last == "[]"


def test_an_outline_draws_nothing_and_has_torchs_shapes():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with uncompiled.outline():
        conv = nn.Conv2d(3, 4, 3)
        nn.init.trunc_normal_(conv.weight)
        turned = torch.empty(2, 3).normal_().t_()
        copied = torch.zeros(2).copy_(torch.ones(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert {each.device.type for each in (*conv.parameters(), turned, copied)} == {"meta"}
    assert conv.weight.shape == (4, 3, 3, 3) and turned.shape == (3, 2) and copied.shape == (2,)
    assert conv.weight.requires_grad


def test_values_outside_an_outline_are_written():
    real = torch.zeros(3, device="cpu")
    with uncompiled.outline():
        real.fill_(2)
    assert real.tolist() == [2, 2, 2]
