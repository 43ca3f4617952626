"""`vertebra models`."""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional

from vertebra.cli.flags import shown
from vertebra.errors import RecipeError
from vertebra.lookup import suggest

Order = Literal["shelf", "name", "parameters", "macs"]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """List the models, or `show NAME` one with its stages, shapes, parameters and multiply-adds.

    Any of them trains with `vertebra train --model NAME`.
    """

    words: Annotated[Positional[tuple[str, ...]], shown("[show NAME]")] = ()
    """Nothing lists all; a name shows that model, with or without `show` before it."""
    family: Annotated[str | None, shown("TEXT")] = None
    """Only families whose name has this in it, as in resnet-rs or ghost."""
    max_parameters: Annotated[str | None, shown("N")] = None
    """Only models with at most so many parameters (with 1000 classes), as in 30M."""
    max_macs: Annotated[str | None, shown("N")] = None
    """Only models with at most so many multiply-adds at the size beside them, as in 4.5G."""
    sort: Annotated[Order, shown()] = "shelf"
    """Small to large; "shelf" keeps families together."""
    image_size: Annotated[int | None, shown("PX")] = None
    """For the multiply-adds and shapes of one; default is the size of the published figures."""
    classes: Annotated[int, shown("K")] = 1000
    """Outputs of the head of one."""
    pretrained: Annotated[bool, shown()] = False
    """List the published weights instead: of all models or of one, timm/NAME too."""
    operators: Annotated[bool, shown()] = False
    """List the operators that one model or a run (`show RUN`) needs instead, and which of them not
    every accelerator has."""
    json: Annotated[bool, shown()] = False
    """Print JSON."""


def run(arguments: Arguments) -> int:
    """Prints."""
    words = arguments.words[1:] if arguments.words[:1] == ("show",) else arguments.words
    if len(words) > 1 or (arguments.words and not words):
        raise RecipeError(
            f"`vertebra models {' '.join(arguments.words)}` names {len(words)} models; "
            "write `vertebra models show NAME`"
        )
    if arguments.image_size is not None and arguments.image_size < 1:
        raise RecipeError(f"image_size={arguments.image_size}; give at least 1 pixel")
    if arguments.pretrained:
        from vertebra.cli.published_weights import show_weights

        show_weights(words[0] if words else None, as_json=arguments.json)
    elif words and arguments.operators:
        from vertebra.cli.needed_operators import show_operators

        show_operators(words[0], image_size=arguments.image_size, as_json=arguments.json)
    elif words:
        _show(words[0], arguments)
    elif arguments.operators:
        raise RecipeError(
            "--operators is of one model; write `vertebra models show NAME --operators`"
        )
    else:
        _list(arguments)
    return 0


def _list(arguments: Arguments) -> None:
    from vertebra.models.costs import costs
    from vertebra.models.shelf import SHELF
    from vertebra.report.quantities import amount
    from vertebra.report.terminal import names_table, open_console

    known = costs()
    names = [name for name in SHELF if _is_wanted(name, arguments)]
    if arguments.sort == "name":
        names.sort()
    elif arguments.sort != "shelf":
        names.sort(key=lambda name: getattr(known[name], arguments.sort))
    if arguments.json:
        print(json.dumps([_entry(name) for name in names], indent=2))
        return
    rows = [
        (name, entry.family.name, amount(cost.parameters), amount(cost.macs), entry.image_size)
        for name, entry, cost in ((name, SHELF[name], known[name]) for name in names)
    ]
    columns = ("model", "family", "params", "MACs", "at px")
    open_console().print(names_table(columns, rows, numbers=3))
    print(f"\n{len(names)} of {len(SHELF)} models; `vertebra models show NAME` draws one")


def _is_wanted(name: str, arguments: Arguments) -> bool:
    from vertebra.models.costs import costs
    from vertebra.models.shelf import SHELF

    family = SHELF[name].family.name
    if arguments.family is not None and arguments.family.casefold() not in family.casefold():
        families = {entry.family.name for entry in SHELF.values()}
        if not any(arguments.family.casefold() in each.casefold() for each in families):
            raise RecipeError(
                f"no family is called {arguments.family!r}; {suggest(arguments.family, families)}"
            )
        return False
    parameters, macs = costs()[name]
    return parameters <= _most("max_parameters", arguments.max_parameters) and macs <= _most(
        "max_macs", arguments.max_macs
    )


def _most(flag: str, text: str | None) -> float:
    """Returns 30M as 30e6, and no limit for None."""
    if text is None:
        return float("inf")
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1:], 1.0)
    try:
        return float(text[:-1] if factor > 1 else text) * factor
    except ValueError as error:
        raise RecipeError(f"{flag}={text!r} is no amount; write one as 30M or 4.5G") from error


def _entry(name: str) -> dict[str, object]:
    from vertebra.models.costs import costs
    from vertebra.models.shelf import SHELF

    entry = SHELF[name]
    return {
        "name": name,
        "family": entry.family.name,
        "summary": entry.summary,
        "image_size": entry.image_size,
        "parameters": costs()[name].parameters,
        "macs": costs()[name].macs,
    }


def _show(name: str, arguments: Arguments) -> None:
    from vertebra.models.shelf import find_entry

    entry = find_entry(name)

    from vertebra.bench.anatomy import anatomy
    from vertebra.report.quantities import amount
    from vertebra.report.terminal import names_table, open_console
    from vertebra.tasks.classify import create_model
    from vertebra.uncompiled import outline

    size = arguments.image_size or entry.image_size
    with outline():
        model = create_model(name, num_classes=arguments.classes)
    levels = anatomy(model, image_size=size)
    parameters = sum(level.parameters for level in levels)
    macs = sum(level.macs for level in levels)
    if arguments.json:
        said = {
            "name": name,
            "source": entry.family.source,
            "parameters": parameters,
            "macs": macs,
            "image_size": size,
            "width": model.backbone.width,
            "maps": [
                {**each._asdict(), "side_px": -(-size // each.stride)}
                for each in model.backbone.maps
            ],
            "levels": [level._asdict() for level in levels],
        }
        print(json.dumps(said, indent=2))
        return
    print(f"{name}: {entry.summary}; {entry.family.source}")
    print(f"{parameters:,} parameters with {arguments.classes} classes")
    print(f"{macs / 1e9:.3f} billion multiply-adds at {size} px\n")
    rows = [
        (
            level.name,
            level.layers,
            " x ".join(map(str, level.shape)) if level.shape else "",
            amount(level.parameters),
            amount(level.macs),
        )
        for level in levels
    ]
    columns = ("part", "layers", "gives", "parameters", "MACs")
    open_console().print(names_table(columns, rows, numbers=3))
