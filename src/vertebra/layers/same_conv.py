"""A convolution padded as TensorFlow does: stride alone decides the size of what it gives."""

from torch import Tensor, nn
from torch.nn import functional as F


class SameConv2d(nn.Conv2d):
    """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)].

    Arguments, parameters and their names are those of `nn.Conv2d`; `padding` stays 0. As many zeros
    as the last position lacks go around the map, an odd one below or to the right.
    """

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, in_channels, H, W] -> [N, out_channels, H', W'], as the class says."""
        top, below = self._border(input, 0)
        left, right = self._border(input, 1)
        if top or below or left or right:  # else padding would copy the whole map
            input = F.pad(input, (left, right, top, below))
        return self._conv_forward(input, self.weight, self.bias)

    def _border(self, input: Tensor, axis: int) -> tuple[int, int]:
        """Returns how many lines of zeros go before the first and behind the last."""
        size, stride = input.shape[2 + axis], self.stride[axis]
        reach = (-(-size // stride) - 1) * stride
        reach += self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        lacking = max(reach - size, 0)
        return lacking // 2, lacking - lacking // 2
