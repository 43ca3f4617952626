"""A backbone whose maps are linear in the image, and MixSKD around it."""

import torch
from torch import Tensor, nn

from vertebra.contracts import Backbone, Batch, Classifier, Encoding, MapSpec, Progress
from vertebra.methods.mixskd import MixSKD, MixSKDSpec

N, K = 6, 4
START = Progress(0, 1)


class Pyramid(Backbone):
    """Linear maps of the images, of any strides; the vector is no mean of the last one."""

    def __init__(self, *strides: int) -> None:
        super().__init__()
        self.in_channels, self.width = 3, 5
        self.maps = tuple(
            MapSpec(f"stage{n}", 2 + n, stride) for n, stride in enumerate(strides, 1)
        )
        self.pieces = nn.ModuleList(
            nn.Conv2d(3, each.channels, 1, stride=each.stride) for each in self.maps
        )
        self.last = nn.Linear(3, self.width)

    def forward(self, images: Tensor) -> Encoding:
        maps = tuple(piece(images) for piece in self.pieces)
        return Encoding(maps, self.last(images.mean((2, 3))))


def classifier(backbone: Backbone) -> Classifier:
    return Classifier(backbone, nn.Linear(backbone.width, K))


def pyramid(*strides: int, **settings) -> MixSKD:
    """Returns the method around a pyramid, without batch statistics, in float64."""
    torch.manual_seed(0)
    return MixSKDSpec(**settings).build(classifier(Pyramid(*strides))).double().eval()


def drawn(height: int = 13, width: int = 9, *, dtype: torch.dtype = torch.float64) -> Batch:
    source = torch.Generator().manual_seed(1)
    images = torch.randn(N, 3, height, width, generator=source, dtype=dtype)
    return Batch(images, torch.tensor([0, 1, 2, 3, 1, 0]), torch.arange(N))
