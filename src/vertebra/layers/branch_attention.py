"""What attention over branches shares: a summary of all of them, and their weighted sum.

Source: Selective Kernel Networks (2019), section 3.1 (fuse, select).
Source: ResNeSt: Split-Attention Networks (2020), section 3.1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm


class Summary(ConvNorm):
    """relu(norm(W s + b)): [N, C, 1, 1] -> [N, squeezed, 1, 1].

    groups:   of W.
    has_bias: whether there is a b; the norm takes it away again while training.

    While training, a batch norm sees one value of each channel for each image; it refuses one image
    alone, of which the mean is the value itself.
    """

    def __init__(
        self, channels: int, squeezed: int, *, groups: int = 1, has_bias: bool = False
    ) -> None:
        super().__init__(channels, squeezed, groups=groups, act=nn.ReLU(inplace=True))
        if has_bias:
            self.conv.bias = nn.Parameter(torch.zeros(squeezed))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, 1, 1] -> [N, squeezed, 1, 1].

        Raises:
            RecipeError: one image while training.
        """
        if self.training and len(x) == 1 and isinstance(self.norm, nn.BatchNorm2d):
            raise RecipeError(
                "a training batch of 1 image has no batch statistics for the attention's norm; "
                "give at least 2 images to each device, or another norm"
            )
        return super().forward(x)


def blend(maps: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Returns the sum of weight * map; the weights sum to 1 over the maps, unless there is but one.

    maps:    each [N, C, H, W].
    weights: one for each map, [N, C, 1, 1], of the maps' dtype.
    """
    if len(maps) == 2:  # the usual case, in one pass over the memory instead of two
        return torch.lerp(maps[1], maps[0], weights[0])
    blended = maps[0] * weights[0]
    for each, weight in zip(maps[1:], weights[1:], strict=True):
        blended.addcmul_(each, weight)
    return blended
