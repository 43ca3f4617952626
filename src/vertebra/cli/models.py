"""`vertebra models`."""

import json
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import RecipeError
from vertebra.lookup import find


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the models, or show one with its stages, parameters and multiply-adds.

    Any of them trains with `vertebra train --model NAME`.
    """

    name: Annotated[Positional[str | None], shown("[NAME]")] = None
    """A model to show; without it all are listed."""
    image_size: Annotated[int | None, shown("PX")] = None
    """For multiply-adds and map sizes; default is the size of the published figures."""
    classes: Annotated[int, shown("K")] = 1000
    """Outputs of the head."""
    json: Annotated[bool, shown()] = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Prints."""
    from vertebra.models.shelf import SHELF

    if arguments.image_size is not None and arguments.image_size < 1:
        raise RecipeError(f"image_size={arguments.image_size}; give at least 1 pixel")
    if arguments.name is None:
        _list(as_json=arguments.json)
    else:
        entry = find(SHELF, arguments.name, kind="model")
        _show(arguments.name, arguments, size=arguments.image_size or entry.image_size)
    return 0


def _list(*, as_json: bool) -> None:
    from vertebra.models.shelf import SHELF
    from vertebra.report.terminal import names_table, open_console

    rows = [(name, each.family.name, each.summary, each.image_size) for name, each in SHELF.items()]
    columns = ("model", "family", "what", "px")
    if as_json:
        keys = ("name", "family", "summary", "image_size")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))
        return
    open_console().print(names_table(columns, rows, numbers=1))
    print("\nvertebra models NAME shows the stages, parameters and multiply-adds of one")


def _show(name: str, arguments: Arguments, *, size: int) -> None:
    import torch

    from vertebra.bench.account import account
    from vertebra.models.shelf import SHELF
    from vertebra.report.terminal import names_table, open_console
    from vertebra.tasks.classify import create_model

    with torch.device("meta"):
        model = create_model(name, num_classes=arguments.classes)
    cost = account(model, image_size=size, in_channels=3)
    maps = [
        (each.name, each.channels, each.stride, -(-size // each.stride))
        for each in model.backbone.maps
    ]
    if arguments.json:
        columns = ("name", "channels", "stride", "side_px")
        said = {
            "name": name,
            "source": SHELF[name].family.source,
            "parameters": cost.parameters,
            "macs": cost.macs,
            "image_size": size,
            "width": model.backbone.width,
            "maps": [dict(zip(columns, row, strict=True)) for row in maps],
        }
        print(json.dumps(said, indent=2))
        return
    entry = SHELF[name]
    print(f"{name}: {entry.summary}; {entry.family.source}")
    print(f"{cost.parameters:,} parameters with {arguments.classes} classes")
    print(f"{cost.macs / 1e9:.3f} billion multiply-adds at {size} px\n")
    columns = ("map", "channels", "stride", "side in px")
    open_console().print(names_table(columns, maps, numbers=3))
