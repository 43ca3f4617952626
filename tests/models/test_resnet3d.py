from dataclasses import replace

import pytest
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn

from vertebra.bench.account import account
from vertebra.contracts import Backbone
from vertebra.errors import CheckpointError, RecipeError
from vertebra.layers.self_gating import SelfGating
from vertebra.layers.squeeze_excite import SqueezeExcite
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.classifier import build_classifier
from vertebra.models.inflation import inflate
from vertebra.models.resnet import ResNetSpec
from vertebra.models.resnet3d import NAMED, ResNet3dSpec

# name -> parameters with 400 classes, frames, side in pixels, GMACs
FIGURES = {
    "slow_resnet50": (32_454_096, 8, 224, 41.74),
    "slow_resnet101": (60_359_120, 8, 256, 111.56),
    "i3d_resnet50": (28_043_472, 8, 224, 28.41),
    "resnet3d50": (33_617_872, 32, 224, 49.63),
    "resnet3drs50": (48_129_840, 32, 224, 88.0),
    "resnet3drs101": (84_969_520, 32, 224, 175.4),
    "resnet3drs152": (114_788_144, 32, 224, 256.2),
    "resnet3drs200": (121_376_560, 32, 224, 312.1),
    "resnet3drs270": (169_038_064, 32, 224, 425.5),
    "resnet3drs350": (213_094_256, 32, 224, 547.6),
}
QUICK = {"slow_resnet50", "i3d_resnet50", "resnet3d50", "resnet3drs50"}
SMALL = ResNet3dSpec(width=0.125, depth=0.1)


class Clip(nn.Module):
    """Gives a model each image as a clip of so many frames."""

    def __init__(self, model: nn.Module, frames: int) -> None:
        super().__init__()
        self.model = model
        self.frames = frames

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images.unsqueeze(2).expand(-1, -1, self.frames, -1, -1))


def cost(spec: ResNet3dSpec, frames: int, side: int) -> tuple[int, float]:
    with torch.device("meta"):
        model = build_classifier(spec, classes=400)
    found = account(Clip(model, frames), image_size=side)
    return found.parameters, found.macs / 1e9


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm3d) for module in net.modules())


def drawn(spec: ResNet3dSpec) -> Backbone:
    torch.manual_seed(0)
    return randomise(spec.build()).eval()


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FIGURES]
)
def test_parameters_and_macs_are_the_published_ones(name):
    parameters, frames, side, gmacs = FIGURES[name]
    found = cost(NAMED[name], frames, side)
    assert found[0] == parameters
    assert found[1] == pytest.approx(gmacs, rel=0.001)


def test_c2d_costs_what_was_counted_without_its_pool_over_time():
    spec = replace(NAMED["c2d_resnet50"], halves_time=False)
    assert cost(spec, 8, 224) == (24_327_632, pytest.approx(32.70, rel=0.001))


def test_gates_cost_what_was_counted():
    with_gates, without = (
        cost(replace(NAMED["resnet3drs50"], self_gating=gating), 2, 32)[0]
        for gating in (True, False)
    )
    assert (with_gates - without, without) == (5_574_400, 42_555_440)


@pytest.mark.parametrize(
    ("name", "count"), [("slow_resnet50", 53), ("i3d_resnet50", 53), ("resnet3drs50", 55)]
)
def test_there_are_as_many_norms_as_were_counted(name, count):
    with torch.device("meta"):
        assert norms(NAMED[name].build()) == count


@pytest.mark.parametrize(
    ("name", "frames", "expected"),
    [
        ("resnet3drs50", 32, [16, 16, 16, 16]),
        ("slow_resnet50", 8, [8, 8, 8, 8]),
        ("resnet3d50", 16, [4, 4, 4, 4]),
        ("i3d_resnet50", 8, [4, 4, 4, 4]),
        ("c2d_resnet50", 7, [4, 4, 4, 4]),
    ],
)
def test_clips_keep_as_many_frames_as_the_strides_leave(name, frames, expected):
    with torch.device("meta"):
        net = replace(NAMED[name], width=0.125, depth=0.1).build()
        maps, vector = net(torch.empty(2, 3, frames, 65, 50))
    assert [m.shape[2] for m in maps] == expected
    assert [tuple(m.shape[3:]) for m in maps] == [(17, 13), (9, 7), (5, 4), (3, 2)]
    assert vector.shape == (2, net.width)


def test_an_image_is_a_clip_of_one_frame():
    net = drawn(replace(NAMED["resnet3drs50"], width=0.125, depth=0.1))
    images = torch.randn(2, 3, 40, 33)
    with torch.no_grad():
        as_image, as_clip = net(images), net(images[:, :, None])
    assert torch.equal(as_image.vector, as_clip.vector)
    assert all(torch.equal(a, b[:, :, 0]) for a, b in zip(as_image.maps, as_clip.maps, strict=True))


def test_only_kernels_over_time_see_the_order_of_the_frames():
    clip = torch.randn(1, 3, 6, 32, 32)
    backwards = clip.flip(2)
    flat = drawn(replace(NAMED["c2d_resnet50"], width=0.125, depth=0.1, halves_time=False))
    deep = drawn(replace(NAMED["slow_resnet50"], width=0.125, depth=0.1))
    with torch.no_grad():
        torch.testing.assert_close(flat(clip).vector, flat(backwards).vector)
        assert (deep(clip).vector - deep(backwards).vector).abs().max() > 1e-3


def test_gates_stand_where_they_were_put():
    with torch.device("meta"):
        net = NAMED["resnet3drs50"].build()
    own = [name for name, m in net.named_modules() if isinstance(m, SelfGating)]
    assert own == [f"stages.{stage}.{last}.gate.own" for stage, last in enumerate((2, 3, 5, 2))]
    assert sum(isinstance(m, SqueezeExcite) for m in net.modules()) == 16
    assert list(net.get_submodule("stages.0.2.gate")._modules) == ["own", "channel"]
    rates = [m.rate for m in net.modules() if isinstance(m, StochasticDepth)]
    assert rates == pytest.approx([0.04] * 3 + [0.06] * 4 + [0.08] * 6 + [0.1] * 3)


def test_kernels_over_time_alternate_along_a_stage():
    with torch.device("meta"):
        net = NAMED["i3d_resnet50"].build()
    found = [
        [block.reduce.conv.kernel_size[0] for block in stage if hasattr(block, "reduce")]
        for stage in net.stages
    ]
    assert found == [[3, 3, 3], [3, 1, 3, 1], [3, 1, 3, 1, 3, 1], [1, 3, 1]]


def test_a_repeated_frame_gives_what_the_image_gives_away_from_the_ends():
    images = randomise(ResNetSpec(width=0.125, depth=0.1, form="B").build()).eval()
    clips = replace(SMALL, stem_kernel=5, time_kernels=((3,), (1,), (3,), (1,))).build().eval()
    report = inflate(clips, images)
    assert (report.fresh, report.unused) == ((), ())
    picture = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        wanted = images(picture).maps
        found = clips(picture.unsqueeze(2).repeat(1, 1, 13, 1, 1)).maps
    for image_map, clip_map in zip(wanted, found, strict=True):
        torch.testing.assert_close(clip_map[:, :, 6], image_map, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[-1][:, :, 0], wanted[-1], atol=1e-3)


def test_inflation_tells_what_it_copied_and_what_it_could_not():
    images = build_classifier(
        ResNetSpec(form="D", stem_pool="conv", squeeze=0.25, width=0.125, depth=0.1), classes=5
    )
    spec = replace(NAMED["resnet3drs50"], width=0.125, depth=0.1)
    same, other = build_classifier(spec, classes=5), build_classifier(spec, classes=3)
    report = inflate(same, images)
    assert all(".gate.own." in name for name in report.fresh)
    assert all(name.startswith("backbone.stem.pool.") for name in report.unused)
    assert torch.equal(same.head.fc.weight, images.head.fc.weight)
    kernel = same.backbone.get_submodule("stem.first.conv").weight
    torch.testing.assert_close(
        kernel.sum(2), images.backbone.get_submodule("stem.first.conv").weight
    )
    assert set(inflate(other, images).fresh) == {*report.fresh, "head.fc.weight", "head.fc.bias"}


def test_what_does_not_fit_is_refused_before_anything_is_copied():
    clips = SMALL.build()
    before = {key: value.clone() for key, value in clips.state_dict().items()}
    with pytest.raises(CheckpointError, match="give a residual network for images"):
        inflate(ResNetSpec(width=0.125, depth=0.1).build(), clips)
    with pytest.raises(CheckpointError, match="start from a network of the same width"):
        inflate(clips, ResNetSpec(width=0.25, depth=0.1).build())
    with pytest.raises(CheckpointError, match="a ClipNet was to start a ClipNet"):
        inflate(clips, clips)
    assert all(torch.equal(value, before[key]) for key, value in clips.state_dict().items())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stem_kernel": 2}, "a kernel over time is 2; choose an odd number"),
        ({"time_kernels": ((1,), (), (3,), (3,))}, "give some for each of 4 stages"),
        ({"blocks": (1, 1, 1)}, "four whole numbers"),
        ({"squeeze": 2.0}, "None for none"),
        ({"stem_stride": 0}, "stem_stride=0; give a whole number"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(fields, words):
    with pytest.raises(RecipeError) as caught:
        ResNet3dSpec(**fields)
    assert words in str(caught.value)


def test_a_small_one_learns_which_way_things_move():
    """A network with kernels over time tells clips from the same clips backwards."""
    torch.manual_seed(0)
    model = build_classifier(replace(SMALL, stem_kernel=3), classes=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        clips, targets = moving(16, seed=step)
        loss = nn.functional.cross_entropy(model(clips), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    clips, targets = moving(64, seed=1000)
    with torch.no_grad():
        assert (model.eval()(clips).argmax(1) == targets).float().mean() > 0.9


def moving(count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Returns clips [count, 3, 4, 24, 24] of a bar that moves right (0) or left (1)."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(2, (count,), generator=generator)
    starts = torch.randint(24, (count,), generator=generator)
    clips = torch.zeros(count, 3, 4, 24, 24)
    for sample, (target, start) in enumerate(zip(targets.tolist(), starts.tolist(), strict=True)):
        for frame in range(4):
            column = start + 3 * (frame if target == 0 else -frame)
            clips[sample, :, frame, :, [column % 24, (column + 1) % 24]] = 1
    return clips, targets
