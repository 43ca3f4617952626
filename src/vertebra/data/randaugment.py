"""RandAugment: a few random operations on each image, of one magnitude, in one of two conventions.

Source: RandAugment: Practical Automated Data Augmentation with a Reduced Search Space (2019). The
convention "tf" is that of Revisiting ResNets (2021), whose magnitudes mean it.

tf           16 operations, full scale at magnitude 10, which is no limit; grey fills what is left
             bare; Posterize and Solarize weaken as magnitude grows.
torchvision  14 operations, magnitude is a bin from 0 to 30; black fills what is left bare.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image

from vertebra.data.randaugment_tf import OPERATIONS as TF
from vertebra.data.randaugment_torchvision import BINS
from vertebra.data.randaugment_torchvision import OPERATIONS as TORCHVISION
from vertebra.errors import RecipeError

_FULL_SCALE = 10


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """`count` operations drawn for each image, with replacement; they are always applied.

    pool:         the convention, see above.
    reference_px: the image size for which "tf" means its moves and holes (100 and 80 pixels at
                  magnitude 10); images of another size get them in proportion. None keeps pixels,
                  as published, which leaves small images blank.
    """

    pool: Literal["tf", "torchvision"] = "tf"
    count: int = 2
    magnitude: float = 10.0
    reference_px: int | None = None

    def __post_init__(self) -> None:
        if self.pool not in ("tf", "torchvision"):
            raise RecipeError(f"pool={self.pool!r}; choose tf or torchvision")
        if self.count < 0 or self.magnitude < 0:
            raise RecipeError(
                f"count={self.count} and magnitude={self.magnitude}; both must be zero or more"
            )
        if self.reference_px is not None and self.reference_px < 1:
            raise RecipeError(f"reference_px={self.reference_px}; give a size, or null for none")
        if self.pool == "torchvision" and (self.magnitude >= BINS or self.magnitude % 1):
            raise RecipeError(
                f"magnitude={self.magnitude}; torchvision's is a whole number from 0 to {BINS - 1}"
            )

    def sample(self, image: Image.Image) -> Image.Image:
        """Returns a picture of mode "L" or "RGB" after operations drawn from torch's generator."""
        if self.pool == "torchvision":
            return self._in_torchvisions_order(image)
        scale = image.width / self.reference_px if self.reference_px else 1.0
        operations = tuple(TF.values())
        for pick in torch.randint(len(operations), (self.count,)).tolist():
            image = operations[pick](image, self.magnitude / _FULL_SCALE, scale)
        return image

    def _in_torchvisions_order(self, image: Image.Image) -> Image.Image:
        """Draws each operation after those before it are done, for they draw their signs."""
        operations = tuple(TORCHVISION.values())
        for _ in range(self.count):
            pick = int(torch.randint(len(operations), ()).item())
            image = operations[pick](image, int(self.magnitude))
        return image
