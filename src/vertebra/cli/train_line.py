"""The command that trains a recipe: flags, and a --set for each value that they leave different."""

import json
from dataclasses import fields, replace

from vertebra.cli.choose import ask
from vertebra.cli.flags import RecipeFlags, words
from vertebra.engine.distributed import World
from vertebra.errors import RecipeError
from vertebra.recipes.fit import fit
from vertebra.recipes.materials import Materials
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.vary import differences

_ROUNDS = 3
"""A setting can have the fit decide otherwise, which takes further settings."""


def train_line(flags: RecipeFlags, wanted: Recipe, materials: Materials) -> list[str]:
    """Returns the words of `vertebra train` that make just this recipe.

    flags:  what the recipe was varied from; flags of other commands among them are left out.
    wanted: has each path that the flags' recipe has.

    Raises:
        RecipeError: no settings lead there.
    """
    own = {field.name: getattr(flags, field.name) for field in fields(RecipeFlags)}
    train = RecipeFlags(**own)
    for _ in range(_ROUNDS):
        different = differences(_made_by(train, materials), wanted)
        if not different:
            return ["vertebra", "train", *words(train)]
        settings = [f"{path}={json.dumps(value)}" for path, (_, value) in different.items()]
        train = replace(train, set=(*train.set, *settings))
    raise RecipeError("this recipe has no command of its own; write it with --save FILE")


def _made_by(flags: RecipeFlags, materials: Materials) -> Recipe:
    asked = ask(flags, world=World())
    if asked.fixed is None:
        return asked.recipe
    return fit(asked.recipe, materials, fixed=asked.fixed, start=asked.start).recipe
