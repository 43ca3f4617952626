"""What a phase gives its method, for tests of what a method refuses."""

from typing import Any

from vertebra.data.augment import Augment
from vertebra.methods.learning import Shown
from vertebra.models.resnet import ResNetSpec


def shown(**changes: Any) -> Shown:
    """Returns one plain version of the source's images, with changes."""
    return Shown(ResNetSpec(), Augment())._replace(**changes)
