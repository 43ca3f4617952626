"""A linear map without bias, a batch norm and, if wished, an activation, on the last axis.

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), section 4.2.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from vertebra.contracts import Foldable


class LinearNorm(Foldable):
    """[..., in_channels] -> [..., channels]; all leading axes count as samples.

    zero_init: the norm's scale starts at zero, so that a residual branch that ends here does.
    act:       whatever follows the norm; None is nothing.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        zero_init: bool = False,
        act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, channels, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(channels)
        self.act = nn.Identity() if act is None else act
        if zero_init:
            nn.init.zeros_(self.norm.get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in_channels] -> [..., channels]."""
        x = self.linear(x)
        return self.act(self.norm(x.flatten(0, -2)).view(x.shape))

    def folded(self) -> nn.Module:
        """Returns one linear map with a bias, and the activation; of another norm, itself."""
        if not isinstance(self.norm, nn.BatchNorm1d):
            return self
        linear = fuse_linear_bn_eval(self.linear, self.norm)
        if isinstance(self.act, nn.Identity):
            return linear
        return nn.Sequential(OrderedDict(linear=linear, act=self.act))
