"""The Ghost module: a convolution that computes some of its channels and derives the others.

Source: GhostNet: More Features from Cheap Operations (2020), section 3.1 and figure 2.

x --k x k--> norm, act --+-------------------------------> m channels        } n channels,
                         +--d x d, by channel--> norm, act  m (s - 1) of them } the rest is cut
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm


class GhostModule(nn.Module):
    """[N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)].

    Stands where a `ConvNorm` with the same arguments may; it costs about 1 / ratio of that.

    ratio:        s; the convolution gives m = ceil(channels / s) channels, each of them s - 1 more;
                  1 is a `ConvNorm`.
    cheap_kernel: d, odd; side of the kernels that derive the others.
    act:          follows both norms, so that a cheap kernel reads what the convolution ends with.

    Raises:
        RecipeError: `ratio` is not positive, or `cheap_kernel` is not odd.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        ratio: int = 2,
        cheap_kernel: int = 3,
        act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if ratio < 1 or cheap_kernel < 1 or cheap_kernel % 2 == 0:
            raise RecipeError(
                f"a Ghost module has ratio={ratio}, cheap_kernel={cheap_kernel}; "
                "choose a ratio of at least 1 and an odd kernel"
            )
        computed = -(-channels // ratio)
        self.derived = channels - computed
        self.primary = ConvNorm(
            in_channels, computed, kernel=kernel, stride=stride, dilation=dilation, act=act
        )
        self.cheap = None
        if self.derived:
            self.cheap = ConvNorm(
                computed,
                computed * (ratio - 1),
                kernel=cheap_kernel,
                groups=computed,
                act=deepcopy(act),
            )

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, channels, ceil(H / stride), ceil(W / stride)]."""
        computed = self.primary(x)
        if self.cheap is None:
            return computed
        derived = self.cheap(computed)
        if derived.shape[1] > self.derived:  # cut before it is joined, so that the whole is dense
            derived = derived[:, : self.derived]
        return torch.cat((computed, derived), 1)
