from itertools import product

import pytest
import torch
from tests.models.drawn import randomise
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import fused
from vertebra.errors import RecipeError
from vertebra.layers.drop_block import DropBlock
from vertebra.layers.split_attention import SplitAttention, SplitAttentionSpec

SHAPES = list(product([1, 2, 4], [1, 2, 4]))
CHANNELS = 16


def made(radix: int, groups: int, *, stride: int = 1, pool_first: bool = False) -> nn.Module:
    torch.manual_seed(0)
    spec = SplitAttentionSpec(radix=radix, least=8, pool_first=pool_first)
    return randomise(spec.build(CHANNELS, stride=stride, groups=groups, act=nn.ReLU)).eval()


def attention_of(module: nn.Module) -> SplitAttention:
    return next(m for m in module.modules() if isinstance(m, SplitAttention))


def group_by_group(layer: SplitAttention, x: Tensor) -> Tensor:
    """Split attention as the paper writes it: each cardinal group alone, each split alone."""
    radix, groups = layer.radix, layer.groups
    each = CHANNELS // groups
    kernels = layer.splits.conv.weight.view(radix, groups, each, -1, 3, 3)
    first = layer.squeeze.conv.weight.chunk(groups), layer.squeeze.conv.bias.chunk(groups)
    second = layer.excite.weight.chunk(groups), layer.excite.bias.chunk(groups)
    slices = x.chunk(radix * groups, dim=1)
    raw = [F.conv2d(slices[r * groups + k], kernels[r, k], padding=1)
           for r in range(radix) for k in range(groups)]  # fmt: skip
    maps = layer.splits.act(layer.splits.norm(torch.cat(raw, 1))).chunk(radix * groups, dim=1)
    of_group = [[maps[r * groups + k] for r in range(radix)] for k in range(groups)]
    means = [sum(splits).mean((2, 3)) for splits in of_group]
    hidden = [m @ first[0][k][:, :, 0, 0].T + first[1][k] for k, m in enumerate(means)]
    hidden = layer.squeeze.norm(torch.cat(hidden, 1)[..., None, None]).relu()[..., 0, 0]
    out: list[Tensor] = []
    for k, inner in enumerate(hidden.chunk(groups, dim=1)):
        logits = inner @ second[0][k][:, :, 0, 0].T + second[1][k]
        logits = logits.view(-1, radix, each)
        weights = logits.exp() / logits.exp().sum(1, keepdim=True)
        if radix == 1:
            weights = 1 / (1 + (-logits).exp())
        out.append(sum(of_group[k][r] * weights[:, r, :, None, None] for r in range(radix)))
    return torch.cat(out, 1)


@pytest.mark.parametrize(("radix", "groups"), SHAPES)
@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_split_attention_agrees_with_a_loop_over_groups_and_splits(radix, groups, size):
    x = torch.randn(3, CHANNELS, *size)
    with torch.no_grad():
        layer = made(radix, groups)
        torch.testing.assert_close(layer(x), group_by_group(layer, x))
        after = made(radix, groups, stride=2)
        wanted = F.avg_pool2d(group_by_group(attention_of(after), x), 3, 2, 1)
        torch.testing.assert_close(after(x), wanted)
        first = made(radix, groups, stride=2, pool_first=True)
        wanted = group_by_group(attention_of(first), F.avg_pool2d(x, 3, 2, 1))
        torch.testing.assert_close(first(x), wanted)


@pytest.mark.parametrize(("radix", "groups"), [shape for shape in SHAPES if shape[0] > 1])
def test_attention_sums_to_one_over_the_splits(radix, groups):
    weights = made(radix, groups).attention(torch.randn(2, radix * CHANNELS, 5, 5))
    assert weights.shape == (2, radix, CHANNELS, 1, 1)
    assert weights.std(1).min() > 0
    torch.testing.assert_close(weights.sum(1), torch.ones(2, CHANNELS, 1, 1))


@pytest.mark.parametrize(("radix", "groups"), SHAPES)
def test_without_a_second_layer_the_splits_are_averaged_or_one_is_halved(radix, groups):
    layer = made(radix, groups)
    nn.init.zeros_(layer.excite.weight)
    nn.init.zeros_(layer.excite.bias)
    x = torch.randn(2, CHANNELS, 5, 5)
    splits = layer.splits(x).unflatten(1, (radix, CHANNELS))
    torch.testing.assert_close(layer(x), splits.sum(1) / max(radix, 2))


def test_one_split_in_one_group_is_a_channel_gate_with_a_norm_inside():
    layer = made(1, 1)
    x = torch.randn(2, CHANNELS, 5, 5)
    branch = layer.splits(x)
    mean = F.adaptive_avg_pool2d(branch, 1)
    inner = layer.squeeze.norm(layer.squeeze.conv(mean))
    torch.testing.assert_close(layer(x), branch * layer.excite(inner.relu()).sigmoid())


def test_pooling_first_or_last_takes_the_same_parameters():
    fast, standard = made(2, 2, stride=2, pool_first=True), made(2, 2, stride=2)
    shapes = [{k: v.shape for k, v in net.state_dict().items()} for net in (fast, standard)]
    assert shapes[0] == shapes[1]
    assert [name for name, _ in fast.named_children()] == ["pool", "attend"]
    assert [name for name, _ in standard.named_children()] == ["attend", "pool"]


@pytest.mark.parametrize("channels", [16, 128, 512])
def test_the_summary_is_a_quarter_of_the_splits_but_no_less_than_32(channels):
    built = SplitAttentionSpec().build(channels, stride=1, groups=1, act=nn.ReLU)
    assert attention_of(built).squeeze.conv.out_channels == max(channels // 2, 32)


def test_the_summary_widens_to_what_the_groups_divide():
    built = SplitAttentionSpec(radix=1).build(30, stride=1, groups=5, act=nn.ReLU)
    assert attention_of(built).squeeze.conv.out_channels == 35


def test_the_form_for_inference_has_no_norms_and_gives_the_same():
    layer = made(2, 2)
    folded = fused(layer)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    x = torch.randn(2, CHANNELS, 5, 5)
    torch.testing.assert_close(folded(x), layer(x))


@pytest.mark.parametrize("radix", [1, 2, 3])
def test_autocast_keeps_the_maps_in_half_precision(radix):
    layer = SplitAttentionSpec(radix=radix).build(12, stride=1, groups=1, act=nn.ReLU)
    x = torch.randn(2, 12, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), layer(x), rtol=0.1, atol=0.1)


def test_what_drops_stands_between_the_norm_and_the_activation():
    act = nn.Sequential(DropBlock(0.5, size=1), nn.ReLU())
    layer = SplitAttentionSpec().build(8, stride=1, groups=1, act=lambda: act)
    assert attention_of(layer).splits.act is act


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SplitAttentionSpec(radix=0), "radix=0, reduction=4, least=32; give whole"),
        (
            lambda: SplitAttention(6, 8, radix=2, groups=2, act=nn.ReLU()),
            "channels=6, squeezed=8 with radix=2, groups=2; give multiples of 4 and of 2",
        ),
    ],
)
def test_what_does_not_split_is_refused(make, words):
    with pytest.raises(RecipeError) as caught:
        make()
    assert words in str(caught.value)
