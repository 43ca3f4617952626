"""A norm folds only where nothing else sees what it is applied to."""

import pytest
import torch
from torch import Tensor, nn

from vertebra.models.folding import fold_norms


class Watched(nn.Module):
    """Two convolutions and two norms; each kind uses them in another way."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, bias=False)
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        for norm in (self.norm, self.other):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        if self.kind == "another reader":
            return self.norm(y) + y
        if self.kind == "two norms":
            return self.norm(y) + self.other(y)
        if self.kind == "a shared norm":
            return self.norm(y) + self.norm(self.second(x))
        if self.kind == "a shared convolution":
            return self.norm(y) + self.other(self.first(x + 1))
        if self.kind == "an activation between":
            return self.norm(y.relu())
        return self.norm(y) + self.other(self.second(x))


def norms_after_folding(kind: str) -> int:
    torch.manual_seed(0)
    net = Watched(kind).eval()
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        wanted = net(images)
        fold_norms(net, torch.zeros(1, 3, 8, 8))
        torch.testing.assert_close(net(images), wanted, rtol=1e-5, atol=1e-5)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    return sum(isinstance(part, nn.BatchNorm2d) for part in net.modules())


def test_each_norm_folds_into_its_own_convolution_in_whatever_order_they_stand():
    assert norms_after_folding("straight") == 0


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("another reader", 2),
        ("two norms", 2),
        ("a shared norm", 2),
        ("a shared convolution", 2),
        ("an activation between", 2),
    ],
)
def test_a_norm_stays_where_folding_would_change_something(kind, left):
    assert norms_after_folding(kind) == left
