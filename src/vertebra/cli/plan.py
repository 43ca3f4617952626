"""`vertebra plan`."""

import json
import re
import shlex
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from vertebra.cli.flags import RecipeFlags, require_known, shown, words
from vertebra.errors import RecipeError

if TYPE_CHECKING:
    from vertebra.recipes.advise import Advice, Base, Propose
    from vertebra.recipes.recipe import Recipe

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_CHOSEN = ("recipe", "epochs", "method", "teacher", "unlabelled", "learn_from")
"""What --time decides, or has no rules for."""

_FLAGS = {"length": "epochs", "data.preprocess.image_size": "image_size", "optimizer.lr": "lr"}
"""Path -> the flag that says it shorter than --set."""


@dataclass(frozen=True, kw_only=True)
class Arguments(RecipeFlags):
    """Say what `vertebra train` with the same flags would do and take; train nothing.

    Use it before a long run. Time, memory and checkpoint size are measured on a few updates and
    evaluations of a copy.

    With --time it suggests what to train in that time: a handful of networks is measured on this
    machine, and the rules of the papers choose model, image size, length and regularisation.
    """

    time: Annotated[str | None, shown("TIME")] = None
    """Suggest what to train in so much time, as 90s, 30m, 2h or 1d."""
    save: Annotated[Path | None, shown("FILE")] = None
    """Write the recipe as it would run, for `vertebra train --recipe FILE`."""


def run(arguments: Arguments) -> int:
    """Measures and prints."""
    if arguments.time is not None:
        seconds_in(arguments.time)
        _require_open(arguments)
    require_known(arguments)
    if arguments.time is not None:
        return _suggest(arguments, arguments.time)

    from vertebra.cli.choose import choose
    from vertebra.cli.reading import reading
    from vertebra.cli.show import show_found, show_plan
    from vertebra.engine.distributed import World
    from vertebra.recipes.plan import estimate
    from vertebra.recipes.prepare import prepare

    with reading() as on_progress:
        chosen = choose(arguments, world=World(), on_progress=on_progress)
    prepared = prepare(chosen.recipe, materials=chosen.materials)
    show_found(chosen.materials[-1])
    show_plan(
        prepared,
        _output(chosen.recipe),
        notes=chosen.notes,
        model=chosen.model,
        start=chosen.start,
        estimate=estimate(prepared),
    )
    _finish(arguments, chosen.recipe, save=arguments.save)
    return 0


def seconds_in(text: str) -> float:
    """Returns the seconds that a text such as "90s", "30m", "2h" or "1d" says.

    Raises:
        RecipeError: it says none, or zero.
    """
    found = _TIME.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not seconds:
        raise RecipeError(f"--time {text}; give a time above zero, as 90s, 30m, 2h or 1d")
    return seconds


def _require_open(arguments: Arguments) -> None:
    """Refuses flags that say what --time is to find out."""
    defaults = {field.name: field.default for field in fields(arguments)}
    for name in _CHOSEN:
        if getattr(arguments, name) != defaults[name]:
            flag = "from" if name == "learn_from" else name
            raise RecipeError(
                f"--time chooses recipe and length, for learning with labels; leave out --{flag}"
            )
    for setting in arguments.set:
        path = setting.partition("=")[0].strip()
        if path == "length":
            raise RecipeError(f"--time chooses the length; leave out --set {setting}")
        if path.split(".")[0] == "model" and arguments.model is None:
            raise RecipeError(
                f"--time chooses the model; leave out --set {setting}, or name yours with --model"
            )


def _suggest(arguments: Arguments, time: str) -> int:
    """Measures a handful of networks and prints which of them to train, and why."""
    from vertebra.cli.choose import choose
    from vertebra.cli.reading import reading
    from vertebra.cli.show import show_advice, show_found, show_plan
    from vertebra.engine.distributed import World
    from vertebra.models.shelf import title
    from vertebra.recipes.advise import Wish, advise, weights_here

    is_open = arguments.model is None and arguments.weights is None
    here = weights_here() if is_open and arguments.pretrained else ()
    first = replace(arguments, model=here[0]) if here else arguments
    with reading() as on_progress:
        chosen = choose(first, world=World(), on_progress=on_progress)
    show_found(chosen.materials[-1])
    pretrained = arguments.pretrained or arguments.weights is not None
    wish = Wish(seconds_in(time), is_open=is_open, pretrained=pretrained)
    with reading("measuring networks") as on_progress:
        advice = advise(_proposer(arguments), chosen.materials[-1], wish, on_progress=on_progress)
    show_advice(advice, *_with_weights(arguments, advice))
    show_plan(
        advice.prepared,
        _output(advice.recipe),
        notes=advice.notes,
        model=title(advice.recipe.model),
        start=advice.start,
        estimate=advice.estimate,
    )
    _finish(spelled(arguments, advice), advice.recipe, save=arguments.save)
    return 0


def _proposer(arguments: Arguments) -> "Propose":
    """Returns what gives the recipe that the flags describe, with a model in place of theirs."""
    from vertebra.cli.choose import ask
    from vertebra.engine.distributed import World
    from vertebra.recipes.advise import Base

    @cache  # weights are looked at each time
    def propose(model: str | None, pretrained: bool) -> "Base":
        flags = replace(arguments, model=model or arguments.model)
        if pretrained and flags.weights is None:
            flags = replace(flags, pretrained=True)
        asked = ask(flags, world=World())
        return Base(asked.recipe, asked.fixed or frozenset(), asked.start)

    return propose


def _with_weights(arguments: Arguments, advice: "Advice") -> list[str]:
    """Returns the advice to fetch weights, where they may help and are not used."""
    from vertebra.recipes.advise_reasons import weights_would_help

    flags = replace(arguments, pretrained=True, download=True)
    command = shlex.join(["vertebra", "plan", *words(flags)])
    images = len(advice.prepared.materials[-1].train)
    said = None if advice.pretrained else weights_would_help(images, command)
    return [] if said is None else [said]


def spelled(arguments: Arguments, advice: "Advice") -> Arguments:
    """Returns the flags with which `vertebra train` makes the recipe of the advice."""
    from vertebra.recipes.codec import to_data

    given: dict[str, Any] = {"model": advice.model or arguments.model}
    given["pretrained"] = advice.pretrained and arguments.weights is None
    settings: list[str] = []
    for path, value in advice.changes.items():
        if path in _FLAGS:
            given[_FLAGS[path]] = value.value if path == "length" else value
        else:
            data = to_data(value)
            settings.append(f"{path}={data if isinstance(data, str) else json.dumps(data)}")
    return replace(arguments, **given, set=(*arguments.set, *settings))


def _output(recipe: "Recipe") -> Path:
    from vertebra.records import RunDirectory

    return RunDirectory.next(recipe.phases[-1].data.source).path


def _finish(arguments: Arguments, recipe: "Recipe", *, save: Path | None) -> None:
    """Writes the recipe if that is asked for, and prints how to train by it."""
    from vertebra.cli.show import show_next
    from vertebra.recipes.codec import to_data
    from vertebra.records import write_json

    if save is None:
        flags = replace(arguments, time=None, save=None)
        show_next(shlex.join(["vertebra", "train", *words(flags)]))
    else:
        write_json(save, to_data(recipe))
        show_next(shlex.join(["vertebra", "train", "--recipe", str(save)]))
