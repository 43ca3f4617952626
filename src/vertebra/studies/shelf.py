"""The published additive tables that have a name; imports no torch."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from vertebra.lookup import find

LADDERS: Mapping[str, str] = {
    "bag-of-tricks": "ResNet-50: warm-up and zero gamma, three tweaks, three refinements",
    "convnext": "From ResNet to ConvNeXt: modern training, then the network piece by piece",
    "resnest": "ResNeSt: mixup and augmentation, then split attention",
    "resnet-rs": "ResNet-RS: better training first, then two changes of the network",
}
"""Name -> what the table is about; the file of that name is in ladders/."""


def find_ladder(name: str) -> str:
    """Returns the text of a ladder, by its name or from a file.

    Raises:
        NameLookupError: no such name or file.
    """
    if Path(name).is_file():
        return Path(name).read_text(encoding="utf-8", errors="replace")
    find(LADDERS, name, kind="ladder")
    return files("vertebra.studies").joinpath(f"ladders/{name}.json").read_text(encoding="utf-8")
