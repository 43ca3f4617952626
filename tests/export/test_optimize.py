"""The fast form gives the network's answers, and says so when it does not."""

import pytest
import torch
from torch import Tensor, nn

from vertebra.contracts import Encoding
from vertebra.errors import DeviceError, MismatchError
from vertebra.export import optimize as module
from vertebra.export.optimize import compare, has_bf16, optimize
from vertebra.export.packed import PackedConv, pack
from vertebra.models.convnext import ConvNeXtSpec
from vertebra.tasks.classify import create_model

CPU = torch.device("cpu")
SLOWER = ("seresnet50", "ghostnet_100", "convnext_tiny", "timm/efficientnet_b0")


def enlivened(model: nn.Module) -> nn.Module:
    """Returns the model with norms whose statistics say something, so that folding shows."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2.0)
    return model.eval()


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnest14",
        "levit_128s",
        *(pytest.param(each, marks=pytest.mark.slow) for each in SLOWER),
    ],
)
def test_answers_are_the_networks_at_other_sizes_and_counts_too(name: str):
    model = enlivened(create_model(name, num_classes=7))
    fast = optimize(model, draw(2, 3, 64, 64))
    assert fast.difference < 1e-5
    sizes = [(3, 64)] if name.startswith("levit") else [(1, 64), (3, 64), (2, 96)]
    for count, size in sizes:
        found = compare(model, fast, draw(count, 3, size, size))
        assert found.share < 1e-5 and found.largest > 0


def test_a_backbone_keeps_its_maps():
    backbone = enlivened(create_model("resnet18", num_classes=2)).backbone
    fast = optimize(backbone, draw(1, 3, 64, 64))
    found = fast(draw(1, 3, 64, 64))
    assert isinstance(found, Encoding) and len(found.maps) == len(backbone.maps)
    assert compare(backbone, fast, draw(2, 3, 64, 64)).share < 1e-5


def test_models_of_other_libraries_are_folded_and_packed():
    timm = pytest.importorskip("timm")
    torchvision = pytest.importorskip("torchvision")
    for model in (
        timm.create_model("efficientnet_b0", num_classes=5),
        timm.create_model("resnet18", num_classes=5),
        torchvision.models.resnet18(num_classes=5),
    ):
        fast = optimize(enlivened(model), draw(2, 3, 64, 64))
        assert fast.packed > 10 and fast.difference < 1e-5
        assert not any(isinstance(part, nn.BatchNorm2d) for part in fast.modules())
        assert any(isinstance(part, nn.BatchNorm2d) for part in model.modules())


def test_the_model_stays_as_it_is():
    model = enlivened(create_model("resnet18", num_classes=3)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimize(model, draw(2, 3, 32, 32))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("act", [nn.ReLU(), nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.GELU("tanh")])
def test_activations_join_their_convolution(act: nn.Module):
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, stride=2), act, nn.Conv2d(5, 2, 1)).eval()
    images = draw(2, 3, 9, 9)
    with torch.inference_mode():
        wanted = net(images)
        assert pack(net, images) == 2
        assert [type(part) for part in net] == [PackedConv, nn.Identity, PackedConv]
        torch.testing.assert_close(net(images), wanted, rtol=1e-5, atol=1e-5)


def test_a_convolution_that_is_used_twice_keeps_its_activations_apart():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    net = nn.Sequential(conv, nn.ReLU(), nn.Sequential(conv, nn.SiLU())).eval()
    assert optimize(net, draw(1, 3, 8, 8)).difference < 1e-5


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 8, 3, groups=4, dilation=2, padding=2),
        nn.Conv2d(4, 8, 3, bias=False),
        nn.Conv2d(4, 8, (1, 3), stride=(2, 1), padding=(0, 1)),
    ],
)
def test_every_kind_of_convolution_packs(conv: nn.Conv2d):
    fast = optimize(nn.Sequential(conv), draw(2, 4, 12, 12))
    assert fast.packed == 1 and fast.difference < 1e-5


@pytest.mark.parametrize("act", [nn.GELU(), nn.GELU(approximate="tanh"), nn.Hardswish()])
@pytest.mark.parametrize("has_bias", [True, False])
def test_linear_maps_pack_with_their_activations(act: nn.Module, has_bias: bool):
    net = nn.Sequential(nn.Linear(12, 7, bias=has_bias), act, nn.Linear(7, 3))
    fast = optimize(net, draw(2, 4, 5, 12))
    assert fast.packed == 2 and fast.difference < 1e-5
    assert type(fast.net[1]) is nn.Identity
    assert fast(draw(1, 4, 9, 12)).shape == (1, 4, 9, 3)


def test_activations_of_convnext_are_computed_with_its_linear_maps():
    spec = ConvNeXtSpec(blocks=(1, 1, 1, 1), width=0.125, layer_scale=0.5)
    fast = optimize(spec.build(in_channels=3).eval(), draw(2, 3, 64, 64))
    assert fast.difference < 1e-5
    assert not any(isinstance(part, nn.GELU) for part in fast.modules())


class Curious(nn.Module):
    """Looks at a convolution while it uses it."""

    def __init__(self, *, uses_values: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.uses_values = uses_values

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(x.to(self.conv.weight.dtype))
        scale = self.conv.weight.mean() if self.uses_values else self.conv.kernel_size[0]
        return made * scale


def test_what_a_network_asks_of_its_convolutions_is_still_there():
    fast = optimize(Curious(uses_values=False), draw(2, 3, 8, 8))
    assert fast.packed == 1 and fast.difference < 1e-5


def test_a_network_that_uses_weights_by_itself_is_refused():
    with pytest.raises(MismatchError):
        optimize(Curious(uses_values=True), draw(2, 3, 8, 8))


@pytest.mark.parametrize(
    "conv",
    [nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")],
)
def test_what_pads_otherwise_stays(conv: nn.Conv2d):
    fast = optimize(nn.Sequential(conv), draw(2, 4, 12, 12))
    assert fast.packed == 0 and fast.difference < 1e-5


class Drifting(nn.Module):
    """Answers otherwise each time."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Drifting.calls += 1
        return x.mean((1, 2, 3)) + Drifting.calls


def test_other_answers_are_refused():
    with pytest.raises(MismatchError, match=r"of the largest .* and 0\.0001 is allowed; use the"):
        optimize(Drifting(), draw(2, 3, 8, 8))
    assert optimize(Drifting(), draw(2, 3, 8, 8), bound=10).difference > 0.01


def test_answers_that_are_no_numbers_are_refused():
    net = nn.Sequential(nn.Conv2d(3, 2, 1))
    with pytest.raises(MismatchError):
        optimize(net, torch.full((1, 3, 4, 4), float("nan")))


class Answers(nn.Module):
    """Gives these tensors, whatever it is asked."""

    def __init__(self, *tensors: Tensor) -> None:
        super().__init__()
        self.tensors = tensors

    def forward(self, images: Tensor) -> tuple[Tensor | None, ...]:
        del images
        return (None, *self.tensors)


def test_each_tensor_is_held_against_its_own_largest():
    wanted = Answers(torch.tensor([1000.0, 4.0]), torch.tensor([0.25, -0.5]))
    given = Answers(torch.tensor([1000.0, 4.1]), torch.tensor([0.20, -0.5]))
    found = compare(wanted, given, draw(1, 3, 4, 4))
    assert found.largest == 0.5 and found.share == pytest.approx(0.1)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_number_is_the_largest_difference(place: int):
    given = [torch.ones(3), torch.ones(3), torch.ones(3)]
    given[place][1] = float("nan")
    found = compare(Answers(*3 * [torch.ones(3)]), Answers(*given), draw(1, 3, 4, 4))
    assert found.share != found.share


def test_comparing_leaves_every_mode_as_it_is():
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    net[1].eval()
    before = [part.training for part in net.modules()]
    assert optimize(net, draw(1, 3, 4, 4)).difference < 1e-5
    assert [part.training for part in net.modules()] == before


def test_bf16_is_refused_where_it_would_be_imitated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert not has_bf16(CPU)
    with pytest.raises(DeviceError, match="cpu has no bf16 instructions; use precision fp32"):
        optimize(nn.Conv2d(3, 2, 1), draw(1, 3, 4, 4), precision="bf16")


def test_bf16_answers_are_near(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "has_bf16", lambda device: True)  # imitated, and as exact
    model = enlivened(create_model("resnet18", num_classes=4))
    fast = optimize(model, draw(2, 3, 64, 64), precision="bf16")
    assert 1e-4 < fast.difference < 5e-2
    assert fast(draw(1, 3, 64, 64)).dtype == torch.float32


@pytest.mark.slow
def test_a_compiled_form_gives_the_same():
    model = enlivened(create_model("resnet18", num_classes=4))
    fast = optimize(model, draw(2, 3, 64, 64), compile=True)
    assert fast.packed == 0 and fast.difference < 1e-4
