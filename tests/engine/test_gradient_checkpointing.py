"""Blocks that compute again: the same gradients and statistics, with less kept in between."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from vertebra.engine import gradient_checkpointing as module
from vertebra.engine.gradient_checkpointing import checkpoint_blocks
from vertebra.models.resnet import ResNetSpec
from vertebra.seeding import seeded
from vertebra.tasks.classify import build_classifier, create_model

NAMES = ["resnet18", "resnest14", "ghostnet_100", "levit_128s", "timm/resnet18"]


def images(size: int = 64) -> Tensor:
    return torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))


def stepped(model: nn.Module) -> dict[str, Tensor]:
    """Returns the gradients and buffers after a pass with draws."""
    model.train()
    with seeded("step"):
        model(images()).square().mean().backward()
    grads = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {**grads, **dict(model.named_buffers())}


def kept_bytes(model: nn.Module) -> int:
    """Returns what is kept for the backward pass, beside parameters: by autograd, and by blocks."""
    own = {each.data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    def note_input(block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        note(inputs[0])

    blocks = [part for part in model.modules() if "forward" in vars(part)]
    hooks = [block.register_forward_pre_hook(note_input) for block in blocks]
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        answer = model.train()(images(96))
    for hook in hooks:
        hook.remove()
    del answer  # alive until now, so that no place was used twice
    return sum(kept.values())


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_statistics_are_the_same_to_the_bit(name: str):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with seeded("weights"):
        plain = create_model(name, num_classes=5)
    again = deepcopy(plain)
    assert checkpoint_blocks(again) > 3
    wanted, found = stepped(plain), stepped(again)
    assert list(found) == list(wanted) and len(found) > 20
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_draws_are_repeated():
    with seeded("weights"):
        spec = ResNetSpec(blocks=(1, 1, 2, 1), stochastic_depth=0.5, drop_block=0.2)
        plain = build_classifier(spec, classes=5, dropout=0.2)
    again = deepcopy(plain)
    checkpoint_blocks(again)
    wanted, found = stepped(plain), stepped(again)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("name", NAMES)
def test_less_is_kept_for_the_backward_pass(name: str):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    model = create_model(name, num_classes=5)
    before = kept_bytes(model)
    checkpoint_blocks(model)
    assert kept_bytes(model) < 0.75 * before


def test_names_stay_and_a_copy_is_its_own():
    model = create_model("resnet18", num_classes=5)
    names = [*model.state_dict()]
    checkpoint_blocks(model)
    assert [*model.state_dict()] == names
    copy = deepcopy(model)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
    assert copy.eval()(images()).abs().max() == 0
    assert model.eval()(images()).abs().max() > 0


def test_evaluation_and_frozen_passes_are_not_concerned(monkeypatch: pytest.MonkeyPatch):
    calls: list[object] = []
    monkeypatch.setattr(module, "checkpoint", lambda *given, **_: calls.append(given))
    model = create_model("resnet18", num_classes=5)
    wanted = model.eval()(images())
    checkpoint_blocks(model)
    assert torch.equal(model(images()), wanted)
    with torch.no_grad():
        model.train()(images())
    assert not calls
