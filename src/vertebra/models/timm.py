"""Any model of the library timm as a backbone: its maps, its pooled vector, its groups of layers.

Source: PyTorch Image Models (2019), Wightman; the papers are those of the models.
Differs: images are padded with zeros, below and to the right, where a network would lose a part of
         them; at its native size and at multiples of its stride it gives what timm gives. Maps that
         have not one cell for each `stride` pixels (Inception's, the first of PiT) are left out.
         Without `image_size`, position embeddings are resampled to the images where timm can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from torch import Tensor, nn

from vertebra.contracts import Backbone, Encoding, Foldable, parted, sharing
from vertebra.errors import RecipeError
from vertebra.models.folding import fold_norms
from vertebra.models.ranges import require_count, require_rate
from vertebra.models.timm_branches import merge_branches
from vertebra.models.timm_levels import levels_of
from vertebra.models.timm_library import (
    PREFIX,
    created,
    parameters_of,
    require_timm,
    stated_licence,
)
from vertebra.models.timm_survey import survey
from vertebra.models.timm_training import spare_passes
from vertebra.uncompiled import outline

_ANY_SIZE: Mapping[str, bool] = {
    "dynamic_img_size": True,
    "dynamic_img_pad": True,
    "strict_img_size": False,
}
"""What opens a transformer to images of other sizes, where timm's class takes it."""


@dataclass(frozen=True, kw_only=True)
class TimmSpec:
    """A model of timm as a value.

    name:             as timm calls it; a tag, as in "resnet50.a1_in1k", says which weights are
                      meant where weights are asked for, and with them licence and native size.
    image_size:       side in pixels of the images that a network with position embeddings or
                      windows is built for; None is its native one.
    stochastic_depth: rate of the deepest block, in [0, 1); None is what timm sets, mostly 0.
    """

    name: str
    image_size: int | None = None
    stochastic_depth: float | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None:
            require_count("image_size", self.image_size)
        if self.stochastic_depth is not None:
            require_rate("stochastic_depth", self.stochastic_depth)

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            MissingExtra: timm is not installed.
            NameLookupError: timm has no such model; the message offers the nearest one.
            RecipeError: the model does not take a setting, or gives not what a backbone gives.
        """
        require_count("in_channels", in_channels)
        require_timm(self.name)
        return TimmBackbone(self.name, {"in_chans": in_channels, **self._arguments()})

    def _arguments(self) -> dict[str, object]:
        with outline():
            takes = parameters_of(type(created(self.name, {})))
        arguments = {name: value for name, value in _ANY_SIZE.items() if name in takes}
        settings = {
            "img_size": ("image_size", self.image_size),
            "drop_path_rate": ("stochastic_depth", self.stochastic_depth),
        }
        for parameter, (field, value) in settings.items():
            if value is not None and parameter not in takes:
                raise RecipeError(f"{field}={value}: {PREFIX}{self.name} has none; leave it out")
        given = {name: value for name, (_, value) in settings.items() if value is not None}
        return {**arguments, **given}


class TimmBackbone(Backbone, Foldable):
    """A model of timm without its classifier.

    name:       as timm calls it; `arguments` are what timm has built it with.
    image_size: height and width in pixels of the only images it takes; None takes any.
    licence:    of the weights that its name stands for; None is not stated.

    Raises:
        RecipeError: it gives no maps and no vector, as the encoder of a language model.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.name = name
        self.arguments = arguments
        self.net = created(name, arguments)
        spare_passes(self.net)
        self.in_channels: int = arguments["in_chans"]
        self.licence = stated_licence(self.configuration.get("license"))
        side = arguments.get("img_size")
        size: tuple[int, int] = (
            self.configuration["input_size"][1:] if side is None else (side, side)
        )
        with outline():  # a second one: the first must not remember what has no values
            shadow = created(name, arguments)
        self._survey = survey(shadow, name, in_channels=self.in_channels, size=size)
        self.maps, self.width = self._survey.maps, self._survey.width
        self.image_size = size if self._survey.margin is None else None

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What timm says of the weights that the name stands for."""
        return cast(Mapping[str, Any], self.net.pretrained_cfg)

    def forward(self, images: Tensor) -> Encoding:
        """images: [N, in_channels, H, W] -> its maps, and what timm would give its classifier.

        Raises:
            RecipeError: the network is built for images of another size.
        """
        height, width = images.shape[-2:]
        if self.image_size is not None and self.image_size != (height, width):
            raise RecipeError(self._wrong_size(height, width))
        return self._survey.encode(self.net, images)

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns timm's own groups of layers, stem first: stages, or blocks of a transformer."""
        return levels_of(self.net)

    def folded(self) -> Self:
        """Returns a copy with branches merged where timm says how, and each batch norm folded into
        the convolution that alone feeds it; it shares the other tensors."""
        copy = sharing(self).eval()
        merge_branches(copy)
        like = next(self.parameters())
        fold_norms(copy, like.new_zeros(1, self.in_channels, *(self.image_size or (64, 64))))
        return copy

    def fused(self) -> Self:
        """Returns a copy for inference, see `folded`."""
        return parted(self.folded(), self)

    def _wrong_size(self, height: int, width: int) -> str:
        built = " x ".join(map(str, self.image_size or ()))
        return (
            f"{PREFIX}{self.name} is built for images of {built} px and was given {height} x "
            f"{width}; give such images, or build it for yours with model.image_size="
            f"{max(height, width)}"
        )
