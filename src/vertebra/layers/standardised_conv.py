"""A convolution whose filters have mean zero and variance one whenever they are applied.

Source: Micro-Batch Training with Batch-Channel Normalization and Weight Standardization (2019),
section 3.
Source: Big Transfer (2019), section 3.2, whose released code is followed in the epsilon.
Differs: the variance is the biased one with 1e-10 inside the root, as in Big Transfer; the first
paper's code takes the unbiased one with 1e-5 outside, timm the biased one with 1e-6 or 1e-8 inside.
Filters vary by far more, so that all with the biased variance agree to five digits a layer.
"""

import torch
from torch import Tensor, nn

from vertebra.contracts import Foldable
from vertebra.layers.conv_like import conv_like

EPSILON = 1e-10


class StandardisedConv2d(nn.Conv2d, Foldable):
    """[N, in_channels, H, W] -> as `nn.Conv2d` gives, of filters w -> (w - mean(w)) / std(w).

    Belongs before a norm, which takes the place of the scale that is lost. Arguments, parameters
    and their names are those of `nn.Conv2d`; a filter of a single weight would become zero.
    """

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, in_channels, H, W] -> [N, out_channels, H', W']."""
        return self._conv_forward(input, self.standardised_weight(), self.bias)

    def standardised_weight(self) -> Tensor:
        """Returns the filters as applied, [out, in / groups, kh, kw]; sums are in float32 or
        wider."""
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        variance, mean = torch.var_mean(weight, (1, 2, 3), correction=0, keepdim=True)
        return ((weight - mean) * torch.rsqrt(variance + EPSILON)).to(self.weight.dtype)

    def folded(self) -> nn.Module:
        """Returns a plain convolution with the standardised filters."""
        made = conv_like(self, nn.Conv2d)
        made.weight = nn.Parameter(self.standardised_weight().detach())
        return made
