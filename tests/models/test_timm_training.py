"""timm's networks as they train here give timm's values, gradients and names of weights."""

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from vertebra.models.timm_library import created
from vertebra.models.timm_training import spare_passes

NAMES = ["test_efficientnet", "mobilenetv3_small_050", "regnety_002", "tf_mixnet_s"]
networks = pytest.mark.parametrize("name", NAMES)


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Returns timm's network in double precision, and one with as much spared as can be."""
    torch.manual_seed(0)
    theirs = created(name, {}).double().train()
    ours = deepcopy(theirs)
    spare_passes(ours)
    return theirs, ours


def gradients(net: nn.Module, images: Tensor) -> Iterator[tuple[str, Tensor]]:
    net(images).sin().sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None
        yield name, weight.grad


@networks
def test_values_and_gradients_are_those_of_timm(name: str):
    theirs, ours = pair(name)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.manual_seed(1)
    wanted = dict(gradients(theirs, images))
    torch.manual_seed(1)
    for each, found in gradients(ours, images):
        torch.testing.assert_close(found, wanted[each], rtol=1e-6, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


@networks
def test_weights_keep_their_names(name: str):
    theirs, ours = pair(name)
    assert [*ours.state_dict()] == [*theirs.state_dict()]


def test_convolutions_padded_as_tensorflow_does_are_ours():
    theirs, ours = pair("tf_mixnet_s")
    assert any(isinstance(each, Conv2dSame) for each in theirs.modules())
    assert not any(isinstance(each, Conv2dSame) for each in ours.modules())


def nodes(answer: Tensor) -> set[str]:
    """Returns the names of autograd's nodes that lead to it."""
    found, waiting = set(), [answer.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [before for before, _ in node.next_functions]
    return {node.name() for node in found}


@pytest.mark.parametrize("name", ["test_efficientnet", "regnety_002"])
def test_no_gate_writes_a_mean_out(name: str):
    theirs, ours = pair(name)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    assert "MeanBackward1" in nodes(theirs.forward_features(images))
    assert "MeanBackward1" not in nodes(ours.forward_features(images))


@pytest.mark.parametrize(
    ("name", "kind"), [("test_efficientnet", nn.SiLU), ("mobilenetv3_small_050", nn.Hardswish)]
)
def test_nothing_that_autograd_would_copy_is_changed_in_place(name: str, kind: type[nn.Module]):
    theirs, ours = pair(name)
    assert any(each.inplace for each in theirs.modules() if isinstance(each, kind))
    assert not any(each.inplace for each in ours.modules() if isinstance(each, kind))
