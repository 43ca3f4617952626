"""The mean for gates is torch's, with and without a gradient to come."""

import pytest
import torch

from vertebra.layers.spatial_mean import spatial_mean


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 2, 4, 5)], ids=str)
@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3)])
def test_it_is_the_mean_in_every_type(
    shape: tuple[int, ...], trains: bool, dtype: torch.dtype, most: float
):
    x = torch.rand(*shape).to(dtype).requires_grad_(trains)
    found = spatial_mean(x)
    sides = tuple(range(2, len(shape)))
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.float(), x.float().mean(sides, keepdim=True), rtol=most, atol=0
    )


def test_many_numbers_in_bf16_are_summed_in_fp32():
    x = torch.ones(1, 2, 64, 64, dtype=torch.bfloat16).requires_grad_()
    assert (spatial_mean(x) == 1).all()


def test_each_position_has_its_share_of_the_gradient():
    x = torch.randn(2, 3, 4, 5).requires_grad_()
    given = torch.randn(2, 3, 1, 1)
    (found,) = torch.autograd.grad(spatial_mean(x), x, given)
    torch.testing.assert_close(found, given.expand(2, 3, 4, 5) / 20)
