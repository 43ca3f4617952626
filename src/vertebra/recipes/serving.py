"""A deployed run as a server asks it: one image as fast as several at once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version

import torch
from torch import Tensor

from vertebra.data.decode import decode
from vertebra.data.pixels import Pixels, pixels_of
from vertebra.data.preprocess import pack
from vertebra.data.sending import sent
from vertebra.engine.environment import device_name
from vertebra.export.optimize import Recorded
from vertebra.models.shelf import title
from vertebra.recipes.apply import OnRefusal, fast_form, probabilities
from vertebra.recipes.deploy import Deployed
from vertebra.records import Json
from vertebra.seeding import generator


class ServedRun:
    """The network of a run, as `export.desk` asks it.

    batch_size: images that it is asked of at once, at most.
    optimize:   in its fast form, see `fast_form`, checked on drawn images.
    on_refusal: is told where that answers otherwise; the network is then as it is.
    is_fast:    whether it is; a run in bf16 has none where the device only imitates that.

    Raises:
        CheckpointError: the run knows no classes.
        FormRefused: the fast form answers otherwise, and `on_refusal` is not given.
    """

    def __init__(
        self,
        deployed: Deployed,
        *,
        batch_size: int,
        optimize: bool = True,
        on_refusal: OnRefusal | None = None,
    ) -> None:
        deployed.require_classes()
        self.classes = deployed.classes
        self._deployed = deployed
        self._batch_size = batch_size
        form = partial(fast_form, deployed, _drawn(deployed), on_refusal=on_refusal)
        self._several = form(batch_size=batch_size) if optimize else deployed.model
        self.is_fast = self._several is not deployed.model
        # what is recorded for several images takes a single one the slow way
        is_apart = isinstance(self._several, Recorded) and batch_size > 1
        self._one = form(batch_size=1) if is_apart else self._several
        for each in {self._one, self._several}:
            deployed.execution.keep_memory_after(each, deployed.device)

    @property
    def name(self) -> str:
        """What the network is called."""
        return title(self._deployed.recipe.model)

    def facts(self) -> Mapping[str, Json]:
        """Returns what it is, for programs."""
        deployed = self._deployed
        return {
            "name": self.name,
            "recipe": deployed.recipe.name,
            "classes": list(self.classes),
            "preprocess": asdict(deployed.preprocess),
            "device": device_name(deployed.device),
            "precision": deployed.execution.precision,
            "fast_form": self.is_fast,
            "batch_size": self._batch_size,
            "version": version("vertebra"),
        }

    def prepare(self, content: bytes, name: str) -> Pixels:
        """Returns the centre of the picture, as evaluation and `predict` see it.

        Raises:
            BrokenImage: the bytes give no picture.
        """
        preprocess = self._deployed.preprocess
        return pixels_of(preprocess.centre(decode(content, name, preprocess.channels)))

    def probabilities(self, pictures: Sequence[Pixels]) -> Sequence[Tensor]:
        """Returns how probable each class is: [K] on the CPU for each picture."""
        deployed = self._deployed
        images = deployed.preprocess.normalize(sent(pack(pictures), deployed.device))
        images = images.contiguous(memory_format=deployed.execution.layout)
        model = self._one if len(pictures) == 1 else self._several
        return probabilities(deployed, model, images).cpu().unbind()


def _drawn(deployed: Deployed) -> Tensor:
    """Returns two images as the run's network takes them, of noise: nobody has asked yet."""
    size = deployed.preprocess.image_size
    shape = (2, deployed.preprocess.channels, size, size)
    return torch.randn(shape, generator=generator("fast form")).to(deployed.device)
