import pytest
import torch

from vertebra.errors import RecipeError
from vertebra.layers.branch_attention import Summary, blend


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_blend_is_the_weighted_sum_and_changes_no_map(count, layout):
    whole = torch.randn(2, 3 * count, 5, 4).to(memory_format=layout)
    before = whole.clone()
    weights = torch.randn(2, count, 3, 1, 1).softmax(1)
    found = blend(whole.chunk(count, dim=1), weights.unbind(1))
    torch.testing.assert_close(found, (whole.unflatten(1, (count, 3)) * weights).sum(1))
    assert found.is_contiguous(memory_format=layout)
    assert torch.equal(whole, before)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_gradients_of_a_blend_agree_with_finite_differences(count):
    maps = torch.randn(count, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(count, 2, 3, 1, 1, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda m, w: blend(m.unbind(), w.softmax(0).unbind()), (maps, logits))


def test_one_image_passes_in_evaluation_and_is_refused_in_training():
    summary = Summary(4, 8)
    image = torch.randn(1, 4, 1, 1)
    assert summary.eval()(image).shape == (1, 8, 1, 1)
    with pytest.raises(RecipeError, match="a training batch of 1 image has no batch statistics"):
        summary.train()(image)


def test_one_image_trains_where_the_norm_needs_no_neighbour():
    summary = Summary(4, 8)
    summary.norm = torch.nn.GroupNorm(2, 8)
    assert summary(torch.randn(1, 4, 1, 1)).shape == (1, 8, 1, 1)


def test_a_bias_is_folded_with_the_norm():
    summary = Summary(4, 8, groups=2, has_bias=True).eval()
    torch.nn.init.normal_(summary.conv.bias)
    torch.nn.init.uniform_(summary.norm.running_var, 0.5, 1.5)
    x = torch.randn(3, 4, 1, 1)
    torch.testing.assert_close(summary.folded()(x), summary(x))
