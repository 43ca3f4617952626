"""The fast form gives the network's answers, and says so when it does not."""

import pytest
import torch
from torch import Tensor, nn

from vertebra.contracts import Encoding
from vertebra.errors import DeviceError
from vertebra.export import optimize as module
from vertebra.export.optimize import FormRefused, Recorded, compare, optimize
from vertebra.export.recorded import name_of
from vertebra.export.scripted import Script
from vertebra.layers.winograd import convolve
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


@pytest.mark.parametrize(("name", "wide"), [("resnet18", 10), ("resnest14", 3)])
def test_for_many_images_wide_convolutions_go_by_fewer_products(name: str, wide: int):
    model = enlivened(create_model(name, num_classes=7))
    fast = optimize(model, draw(2, 3, 64, 64), batch_size=16)
    targets = [node.target for node in fast.net.graph.nodes]
    assert targets.count(convolve) == wide
    assert fast.difference < 1e-5
    assert compare(model, fast, draw(5, 3, 64, 64)).share < 1e-5


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
        assert isinstance(fast.net, Script)
        assert "aten::batch_norm" not in map(name_of, fast.net.graph.nodes)
        assert any(isinstance(part, nn.BatchNorm2d) for part in model.modules())


@pytest.mark.parametrize("owner", ["ours", "theirs"])
def test_branches_of_timms_networks_are_merged_whoever_built_them(owner: str):
    timm = pytest.importorskip("timm")
    name, classes = "mobileone_s1", 5
    if owner == "ours":
        model = enlivened(create_model(f"timm/{name}", num_classes=classes))
    else:
        model = enlivened(timm.create_model(name, num_classes=classes))
    convolutions = sum(isinstance(part, nn.Conv2d) for part in model.modules())
    fast = optimize(model, draw(2, 3, 64, 64))
    assert fast.difference < 1e-5
    assert (convolutions, fast.packed) == (65, 44)  # a convolution a block, and a linear map


def test_the_model_stays_as_it_is():
    model = enlivened(create_model("resnet18", num_classes=3)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimize(model, draw(2, 3, 32, 32))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


class Curious(nn.Module):
    """Looks at a convolution while it uses it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(x.to(self.conv.weight.dtype))
        return made * self.conv.weight.mean() + self.conv.kernel_size[0]


def test_what_a_network_asks_of_its_convolutions_is_still_there():
    fast = optimize(Curious(), draw(2, 3, 8, 8))
    assert fast.packed == 1 and fast.difference < 1e-5


class Deciding(nn.Module):
    """Decides by what it computes, so that no list of operators tells what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(x)
        return made if made.sum() > 0 else -made


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_a_network_that_decides_by_what_it_computes_stays_one(scale: float):
    net = Deciding()
    fast = optimize(net, scale * draw(2, 3, 8, 8))
    assert fast.packed == 0 and not isinstance(fast, Recorded)
    assert compare(net, fast, draw(3, 3, 9, 9)).share < 1e-5
    assert compare(net, fast, -draw(3, 3, 9, 9)).share < 1e-5


@pytest.mark.parametrize("count", [1, 4])
def test_what_is_recorded_for_some_images_serves_others_too(count: int):
    model = enlivened(create_model("resnet18", num_classes=3))
    fast = optimize(model, draw(2, 3, 32, 32), batch_size=count)
    assert isinstance(fast, Recorded)
    for shape in ((count, 3, 32, 32), (1, 3, 32, 32), (5, 3, 32, 32), (count, 3, 40, 32)):
        assert compare(model, fast, draw(*shape)).share < 1e-5


def test_other_images_leave_the_networks_mode_as_it_is():
    model = enlivened(create_model("resnet18", num_classes=3)).train()
    before = model.backbone.state_dict()["stem.whole.norm.running_mean"].clone()
    optimize(model, draw(2, 3, 32, 32))(draw(2, 3, 40, 40))
    assert model.training
    assert torch.equal(model.backbone.state_dict()["stem.whole.norm.running_mean"], before)


class Drifting(nn.Module):
    """Answers otherwise each time."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Drifting.calls += 1
        return x.mean((1, 2, 3)) + Drifting.calls


def test_other_answers_are_refused():
    with pytest.raises(FormRefused, match=r"of the largest .* and 0\.0001 is allowed; use the"):
        optimize(Drifting(), draw(2, 3, 8, 8))
    assert optimize(Drifting(), draw(2, 3, 8, 8), bound=10).difference > 0.01


def test_answers_that_are_no_numbers_are_refused():
    net = nn.Sequential(nn.Conv2d(3, 2, 1))
    with pytest.raises(FormRefused):
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
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    with pytest.raises(DeviceError, match="cpu has no bf16 instructions; use precision fp32"):
        optimize(nn.Conv2d(3, 2, 1), draw(1, 3, 4, 4), precision="bf16")


def test_bf16_answers_are_near(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "has_bf16", lambda device: True)  # imitated, and as exact
    model = enlivened(create_model("resnet18", num_classes=4))
    fast = optimize(model, draw(2, 3, 64, 64), precision="bf16")
    assert 1e-4 < fast.difference < 5e-2
    for size in (64, 96):
        images = draw(3, 3, size, size)
        assert fast(images).dtype == torch.float32
        assert 1e-4 < compare(model, fast, images).share < 5e-2


def test_bf16_is_the_same_within_autocast(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "has_bf16", lambda device: True)
    fast = optimize(
        enlivened(create_model("resnest14", num_classes=4)), draw(2, 3, 64, 64), precision="bf16"
    )
    wanted = fast(draw(3, 3, 64, 64))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(draw(3, 3, 64, 64)), wanted)


@pytest.mark.slow
def test_a_compiled_form_gives_the_same():
    model = enlivened(create_model("resnet18", num_classes=4))
    fast = optimize(model, draw(2, 3, 64, 64), compile=True)
    assert fast.packed == 0 and fast.difference < 1e-4
