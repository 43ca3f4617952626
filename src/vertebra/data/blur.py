"""Gaussian blur: a picture out of focus, by an amount of its own.

Source: A Simple Framework for Contrastive Learning of Visual Representations (2020), appendix A,
with a kernel of a tenth of the picture's side; 23 pixels of 224.
Differs: the border is mirrored, where the released code of BYOL surrounds the picture with black.
"""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vertebra.data.pixels import pixels_of
from vertebra.data.preprocess import pack
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Blur:
    """With `probability`, blurs a picture; sigma, in pixels, is drawn evenly from its range."""

    probability: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise RecipeError(f"probability={self.probability}; give a share from 0 to 1")
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise RecipeError(f"sigma={self.sigma}; give a smallest and a largest one above 0")

    def sample(self, image: Image.Image) -> Image.Image:
        """Returns the picture, blurred or not; it is at least 2 pixels wide and high."""
        if torch.rand(()).item() >= self.probability:
            return image
        low, high = self.sigma
        return blurred(image, low + (high - low) * torch.rand(()).item())


def blurred(image: Image.Image, sigma: float) -> Image.Image:
    """Returns the picture with each pixel the weighted mean of those within a twentieth of the
    shorter side, at least 1 pixel."""
    radius = max(1, min(image.size) // 20)
    weights = torch.softmax(-((torch.arange(-radius, radius + 1) / sigma) ** 2) / 2, 0)
    pixels = pack([pixels_of(image)]).transpose(0, 1).float()  # [C, 1, H, W]
    pixels = F.pad(pixels, (radius,) * 4, mode="reflect")
    # a Gaussian is a product: rows, then columns
    pixels = F.conv2d(pixels, weights.view(1, 1, 1, -1))
    pixels = F.conv2d(pixels, weights.view(1, 1, -1, 1))
    return _picture(pixels.round_().to(torch.uint8)[:, 0], image.mode)


def _picture(pixels: Tensor, mode: str) -> Image.Image:
    """pixels: [C, H, W] uint8 -> a picture of that mode."""
    height, width = pixels.shape[1:]
    content = pixels.permute(1, 2, 0).contiguous()  # [H, W, C]
    return Image.frombytes(mode, (width, height), content.numpy().tobytes())
