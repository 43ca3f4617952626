from collections.abc import Sequence

import pytest
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import fused
from vertebra.layers.conv_norm import ConvNorm
from vertebra.models.g_ghost import GhostStage, Project, Slice, bottleneck

WIDE, NARROW = 12, 8


def ghost_stage(split: str = "slice", inner: int = 2, mix_layers: int = 2) -> GhostStage:
    """Returns a small stage of stride 2 from 6 channels to 12, of which 4 are ghosts."""
    torch.manual_seed(0)
    ghosts = WIDE - NARROW
    slices = split == "slice"
    mix = nn.Sequential(ConvNorm(WIDE + NARROW * inner, ghosts, act=nn.ReLU()))
    mix.extend(ConvNorm(ghosts, ghosts) for _ in range(mix_layers - 1))
    stage = GhostStage(
        bottleneck(6, WIDE, within=WIDE, stride=2, groups=3),
        [bottleneck(NARROW, NARROW, within=NARROW, groups=2) for _ in range(inner)],
        bottleneck(WIDE, WIDE, within=WIDE, groups=3),
        split=Slice(NARROW) if slices else Project(WIDE, NARROW),
        cheap=ConvNorm(ghosts if slices else WIDE, ghosts),
        mix=mix,
    )
    return randomise(stage)


def layer(x: Tensor, part: ConvNorm, *, training: bool, rectified: bool = False) -> Tensor:
    conv, norm = part.conv, part.norm
    x = F.conv2d(x, conv.weight, None, conv.stride, conv.padding, groups=conv.groups)
    every = (0, 2, 3)
    mean = x.mean(every) if training else norm.running_mean
    var = x.var(every, correction=0) if training else norm.running_var
    factor = norm.weight / (var + norm.eps).sqrt()
    x = x * factor[:, None, None] + (norm.bias - mean * factor)[:, None, None]
    return x.clamp(min=0) if rectified else x


def block(x: Tensor, part: nn.Module, *, training: bool) -> Tensor:
    branch = layer(x, part.reduce, training=training, rectified=True)
    branch = layer(branch, part.spatial, training=training, rectified=True)
    branch = layer(branch, part.expand, training=training)
    if isinstance(part.shortcut, ConvNorm):
        x = layer(x, part.shortcut, training=training)
    return (branch + x).clamp(min=0)


def by_hand(stage: GhostStage, x: Tensor, mix: Sequence[ConvNorm], *, training: bool) -> Tensor:
    """Returns what the sheet's six steps say, with every map of the deep path kept and joined."""
    x = block(x, stage.first, training=training)
    path = [x, x[:, 0:NARROW]]
    for part in stage.inner:
        path.append(block(path[-1], part, training=training))
    joined = torch.cat([path[0], *path[2:]], 1)
    mixed = F.adaptive_avg_pool2d(joined, 1)
    for number, part in enumerate(mix):
        mixed = layer(mixed, part, training=training, rectified=number == 0)
    ghosts = layer(x[:, NARROW:WIDE], stage.cheap, training=training)
    ghosts = (ghosts + mixed.expand_as(ghosts)).clamp(min=0)
    return block(torch.cat((path[-1], ghosts), 1), stage.last, training=training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("inner", [1, 3])
def test_the_stage_is_what_its_steps_say(inner, training):
    stage = ghost_stage(inner=inner).train(training)
    x = torch.randn(4, 6, 9, 7)
    wanted = by_hand(stage, x, list(stage.mix), training=training)
    torch.testing.assert_close(stage(x), wanted, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_steps():
    stage = ghost_stage().double()
    x = torch.randn(3, 6, 8, 8, dtype=torch.float64)
    weights = torch.randn(3, WIDE, 4, 4, dtype=torch.float64)
    parameters = list(stage.parameters())
    found = torch.autograd.grad((stage(x) * weights).sum(), parameters)
    plain = by_hand(stage, x, list(stage.mix), training=True)
    wanted = torch.autograd.grad((plain * weights).sum(), parameters)
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other)


def test_a_convolution_that_slices_splits_as_a_slice_does():
    x = torch.randn(2, WIDE, 3, 3)
    project = Project(WIDE, NARROW)
    with torch.no_grad():
        project.conv.weight.copy_(torch.eye(WIDE)[:NARROW, :, None, None])
    intrinsic, ghosts = project(x)
    torch.testing.assert_close(intrinsic, Slice(NARROW)(x)[0])
    assert torch.equal(ghosts, x)
    assert torch.equal(torch.cat(Slice(NARROW)(x), 1), x)


@pytest.mark.parametrize("split", ["slice", "convolution"])
def test_ghosts_see_the_inner_blocks_through_the_mix_alone(split):
    stage = ghost_stage(split).eval()
    seen: list[Tensor] = []
    stage.last.register_forward_hook(lambda *call: seen.append(call[1][0][:, NARROW:]))
    images = torch.randn(2, 6, 8, 8)
    with torch.no_grad():
        stage(images)
        randomise(stage.inner)
        stage(images)
        stage.mix[-1].norm.weight.zero_()
        stage(images)
        randomise(stage.inner)
        stage(images)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])


def test_the_stage_for_inference_has_no_norms_and_gives_the_same():
    stage = ghost_stage().eval()
    folded = fused(stage)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    x = torch.randn(1, 6, 8, 8)
    torch.testing.assert_close(folded(x), stage(x), rtol=1e-4, atol=1e-5)


def test_one_image_can_be_evaluated_but_not_trained_on():
    stage = ghost_stage()
    assert stage.eval()(torch.randn(1, 6, 8, 8)).shape == (1, WIDE, 4, 4)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        stage.train()(torch.randn(1, 6, 8, 8))
