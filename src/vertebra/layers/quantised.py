"""A convolution and a classifier whose weights are quantised whenever they are applied."""

from collections import OrderedDict
from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import Foldable
from vertebra.layers.conv_like import conv_like
from vertebra.layers.linear_head import LinearHead
from vertebra.layers.quantise import RowLevels
from vertebra.uncompiled import outline


class QuantisedConv2d(nn.Conv2d, Foldable):
    """[N, in_channels, H, W] -> as `nn.Conv2d` gives without a bias, of quantised filters.

    What learns is the filters before that, under their usual name.
    """

    quantiser: nn.Module

    @classmethod
    def of(cls, conv: nn.Conv2d, quantiser: nn.Module) -> Self:
        """Returns a convolution like `conv`, with the very same weight."""
        made = conv_like(conv, cls)
        made.bias = None
        made.quantiser = quantiser
        return made

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, in_channels, H, W] -> [N, out_channels, H', W']."""
        return self._conv_forward(input, self.quantiser(self.weight), None)

    def folded(self) -> nn.Module:
        """Returns a plain convolution with the filters as they are applied."""
        made = conv_like(self, nn.Conv2d)
        made.weight = nn.Parameter(self.quantiser(self.weight).detach())
        return made


class QuantisedHead(LinearHead, Foldable):
    """Vector [N, width] -> logits [N, classes] in [-16, 16], of quantised weights.

    gain: multiplies the quantised weights, where the vector is that much smaller than the weights
          expect; tanh, which bounds them before, would not let them grow.
    """

    largest = 16.0

    def __init__(
        self, width: int, classes: int, *, bits: int, gain: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__(width, classes, dropout=dropout)
        self.quantiser: nn.Module = RowLevels(bits)
        self.gain = gain

    def forward(self, vector: Tensor) -> Tensor:
        """vector: [N, width] -> logits [N, classes]."""
        logits = F.linear(self.dropout(vector), self._weight(), self.fc.bias)
        return logits.clamp(-self.largest, self.largest)

    def folded(self) -> nn.Module:
        """Returns a plain linear map with the weights as they are applied, and the clamp."""
        with outline():
            fc = nn.Linear(self.fc.in_features, self.fc.out_features)
        fc.weight = nn.Parameter(self._weight().detach())
        fc.bias = self.fc.bias
        return nn.Sequential(OrderedDict(fc=fc, clamp=nn.Hardtanh(-self.largest, self.largest)))

    def _weight(self) -> Tensor:
        return self.gain * self.quantiser(self.fc.weight)
