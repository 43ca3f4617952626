"""`vertebra models`."""

import json
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from vertebra.lookup import find


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the models, or show one with its stages, parameters and multiply-adds."""

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    """A model to show."""
    image_size: Annotated[int | None, arg(metavar="PX")] = None
    """For multiply-adds and map sizes; default is the size of the published figures."""
    classes: Annotated[int, arg(metavar="K")] = 1000
    """Outputs of the head."""
    json: bool = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Prints."""
    from vertebra.models.shelf import SHELF

    if arguments.name is None:
        _list(as_json=arguments.json)
    else:
        entry = find(SHELF, arguments.name, kind="model")
        _show(arguments.name, arguments, size=arguments.image_size or entry.image_size)
    return 0


def _list(*, as_json: bool) -> None:
    from rich.console import Console

    from vertebra.models.shelf import SHELF
    from vertebra.report.terminal import names_table

    rows = [(name, each.family.name, each.summary, each.image_size) for name, each in SHELF.items()]
    columns = ("model", "family", "what", "image size")
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
    else:
        Console().print(names_table(columns, rows, numbers=1))


def _show(name: str, arguments: Arguments, *, size: int) -> None:
    import torch
    from rich.console import Console

    from vertebra.bench.account import account
    from vertebra.models.shelf import SHELF
    from vertebra.report.terminal import names_table
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
            "model": name,
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
    Console().print(names_table(("map", "channels", "stride", "side in px"), maps, numbers=3))
