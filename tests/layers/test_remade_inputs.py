"""An input that the backward pass makes again is the one that was not kept."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vertebra.engine.execution import Execution
from vertebra.layers.remade_inputs import RemadeInputs
from vertebra.layers.squeeze_excite import SqueezeExcite
from vertebra.layers.training_on_cpu import TrainingOnCpu

SIZE = (4, 16, 64, 64)
"""As many numbers as are just large enough."""


def draw(*shape: int, seed: int = 1) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return drawn.contiguous(memory_format=torch.channels_last)


def gated(act: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        act,
        SqueezeExcite(16, 4),
        nn.Conv2d(16, 24, 1),
        nn.BatchNorm2d(24),
    ).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for each in (network[1], network[5]):
            each.weight.uniform_(0.5, 2), each.bias.uniform_(-1, 1)
    return network


def trained(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Returns the loss, the gradients, and the buffers as they are afterwards."""
    leaves = [images.requires_grad_(), *network.parameters()]
    loss = network(images).float().sin().square().sum()
    gradients = torch.autograd.grad(loss, leaves)
    return [loss, *gradients, *(each.float() for each in network.buffers())]


@pytest.mark.parametrize("act", [nn.SiLU(), nn.GELU(), nn.Mish(), nn.Hardswish()], ids=str)
def test_gradients_are_the_same(act: nn.Module):
    """In double precision, where nothing is hidden by rounding."""
    wanted = trained(gated(act).double(), draw(*SIZE).double())
    network = gated(act).double()
    with RemadeInputs(network).taken():
        found = trained(network, draw(*SIZE).double())
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_gradients_in_bf16_lie_as_near_as_without():
    exact = trained(gated(nn.SiLU()), draw(*SIZE))
    results: list[list[Tensor]] = []
    for remakes in (False, True):
        network = gated(nn.SiLU())
        with TrainingOnCpu(network, torch.bfloat16, remakes=remakes).taken():
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(images := draw(*SIZE).requires_grad_())
            leaves = [images, *network.parameters()]
            loss = logits.float().sin().square().sum()
            results.append([loss, *torch.autograd.grad(loss, leaves)])
    for wanted, usual, found in zip(exact, *results, strict=False):  # without the buffers
        errors = [(each - wanted).abs().max() for each in (usual, found)]
        assert errors[1] <= max(1.5 * errors[0], 0.02 * wanted.abs().max())


def kept(output: Tensor, name: str) -> Any:
    node: Any = output.grad_fn
    return getattr(node, f"_saved_{name}")


def test_what_a_norm_and_a_gate_made_is_not_kept():
    network, images = gated(nn.SiLU()), draw(*SIZE)
    for is_taken in (False, True):
        remade = RemadeInputs(network if is_taken else nn.Identity())
        with remade.taken():
            normalised = network[1](network[0](images))
            active = network[2](normalised)
            product = network[3](active)
            convolved = network[4](product)
        for given, found in (
            (normalised, kept(active, "self")),
            (product, kept(convolved, "input")),
        ):
            assert (found.data_ptr() != given.data_ptr()) == is_taken
            assert found.stride() == given.stride()
            torch.testing.assert_close(found, given)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.BatchNorm2d(16), (4, 16, 63, 64)),  # small
        (nn.BatchNorm2d(16).eval(), SIZE),  # its statistics may change
        (nn.BatchNorm2d(16, affine=False), SIZE),  # there is no bias to find
        (nn.BatchNorm2d(16).requires_grad_(False), SIZE),
        (nn.GroupNorm(4, 16), SIZE),
    ],
    ids=["small", "eval", "no affine", "frozen", "group norm"],
)
def test_other_inputs_are_kept(norm: nn.Module, shape: tuple[int, ...]):
    act = nn.SiLU()
    with RemadeInputs(act).taken():
        normalised = norm(draw(*shape).requires_grad_())
        assert kept(act(normalised), "self").data_ptr() == normalised.data_ptr()


def test_channels_of_a_pixel_apart_are_kept():
    act, images = nn.SiLU(), draw(*SIZE).contiguous().requires_grad_()
    with RemadeInputs(act).taken():
        normalised = nn.BatchNorm2d(16)(images)
        assert kept(act(normalised), "self").data_ptr() == normalised.data_ptr()


def test_a_network_in_evaluation_has_nothing_to_keep():
    network = gated(nn.SiLU()).eval()
    with torch.no_grad():
        wanted = network(draw(*SIZE))
        with RemadeInputs(network).taken():
            assert torch.equal(network(draw(*SIZE)), wanted)


def test_nothing_stays_in_the_network():
    network = gated(nn.SiLU())
    before = [dict(vars(each)) for each in network.modules()]
    with pytest.raises(KeyError), RemadeInputs(network).taken():
        assert "forward" in vars(network[2])
        raise KeyError
    assert [vars(each) for each in network.modules()] == before


def test_a_module_with_a_forward_of_its_own_keeps_it():
    act = nn.SiLU()
    own = vars(act)["forward"] = torch.tanh
    with RemadeInputs(act).taken():
        assert vars(act)["forward"] is own
    assert vars(act)["forward"] is own


def test_a_product_that_was_written_over_its_factor_is_made_again():
    conv = nn.Conv2d(16, 4, 1)
    images, gate = draw(*SIZE).requires_grad_(), draw(4, 16, 1, 1, seed=2).requires_grad_()
    given = [images, gate, conv.weight]
    wanted = torch.autograd.grad(conv(images * gate).sin().sum(), given)
    with RemadeInputs(conv).taken():
        product = images * 1.0
        product.mul_(gate)
        convolved = conv(product)
        assert kept(convolved, "input").data_ptr() != product.data_ptr()
        found = torch.autograd.grad(convolved.sin().sum(), given)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("saves", [False, True])
def test_where_blocks_compute_again_inputs_are_kept(saves: bool):
    act = nn.SiLU()
    with Execution(gradient_checkpointing=saves).stepping(act, torch.device("cpu"))():
        assert ("forward" in vars(act)) != saves
