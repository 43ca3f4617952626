"""From flags to a recipe: name, flags and settings, then the fit to the images where they leave
room."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from vertebra.cli.flags import RecipeFlags
from vertebra.data.patches import Patches
from vertebra.data.photos import PHOTOS, is_photo
from vertebra.data.sources import SHELF
from vertebra.data.unlabelled import Unlabelled
from vertebra.duration import epochs
from vertebra.engine.distributed import World
from vertebra.models.pretrained import PretrainedReport
from vertebra.models.shelf import BackboneSpec, find_spec, title
from vertebra.recipes.fit import fit, with_batch_size
from vertebra.recipes.follow import follow
from vertebra.recipes.materials import Materials
from vertebra.recipes.precision import fit_precision
from vertebra.recipes.prepare import gather_all
from vertebra.recipes.recipe import Phase, Pretrained, Recipe
from vertebra.recipes.shelf import RECIPES, load
from vertebra.recipes.start import look_up
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import parse_setting, short_path, vary
from vertebra.recipes.ways.joint import is_joint, joined
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.taught import is_taught, taught_by
from vertebra.recipes.ways.wishes import Wishes


class Asked(NamedTuple):
    """The recipe that the flags describe, before any image is read.

    fixed:   paths that the fit leaves alone; None where a recipe is replayed as it stands.
    """

    recipe: Recipe
    fixed: frozenset[str] | None
    notes: tuple[str, ...]
    start: PretrainedReport | None


class Chosen(NamedTuple):
    """A recipe, its images, what the fit changed, what the model is called and starts from.

    fixed: as `Asked` has it.
    """

    recipe: Recipe
    materials: tuple[Materials, ...]
    notes: tuple[str, ...]
    model: str
    start: PretrainedReport | None
    fixed: frozenset[str] | None


def choose(
    flags: RecipeFlags, *, world: World, on_progress: Callable[[int, int], None] | None = None
) -> Chosen:
    """Returns the recipe that the flags describe, with its images gathered.

    A recipe from a file is replayed as it stands; named ones are fitted to the images.

    Raises:
        VertebraError: a name, a value, the device or the images do not allow it.
    """
    chosen = choose_row(flags, world=world, on_progress=on_progress)
    if chosen.fixed is None:
        return chosen
    recipe, faster = fit_precision(chosen.recipe, fixed=chosen.fixed, processes=world.size)
    return chosen._replace(recipe=recipe, notes=chosen.notes + faster)


def choose_row(
    flags: RecipeFlags, *, world: World, on_progress: Callable[[int, int], None] | None = None
) -> Chosen:
    """Returns the same but for the precision, which all rows of a study share: see
    `study_precision`.

    Raises:
        VertebraError: as `choose`.
    """
    asked = ask(flags, world=world)
    materials = gather_all(asked.recipe, download=flags.download, on_progress=on_progress)
    recipe, notes = asked.recipe, asked.notes
    if asked.fixed is not None:
        recipe, fitted = fit(recipe, materials[-1], fixed=asked.fixed, start=asked.start)
        notes += fitted
    return Chosen(recipe, materials, notes, title(recipe.model), asked.start, asked.fixed)


def ask(flags: RecipeFlags, *, world: World, base: Recipe | None = None) -> Asked:
    """Returns the recipe that the flags describe; reads no images.

    base: what the flags change, in place of the recipe that they name.

    Raises:
        VertebraError: a name, a value or the device does not allow it.
    """
    name = flags.recipe_name
    recipe, is_named = (load(name), name in RECIPES) if base is None else (base, True)
    notes: tuple[str, ...] = ()
    model = _model(flags)
    if model is not None:
        recipe, notes = suit(recipe, model)
    wishes = _wishes(flags)
    if flags.method is None and is_taught(recipe) and any(wishes):
        recipe = taught_by(recipe, wishes)
    elif flags.method is None and is_joint(recipe) and any(wishes):
        recipe = joined(recipe, wishes)
    elif flags.method or any(wishes):
        recipe, said = learn(recipe, flags.method or flags.usual_method, wishes)
        notes += said
    if flags.batch_size is not None:
        recipe = with_batch_size(recipe, flags.batch_size)
    changes = _in_each_phase(recipe, {**_typed(flags), **dict(map(parse_setting, flags.set))})
    recipe = vary(recipe, changes)
    if is_named or flags.method is not None:
        recipe, said = follow(recipe, fixed=changes)
        notes += said
    recipe.check(processes=world.size)
    recipe.execution.resolve(local_rank=world.local_rank)  # refuse before reading every image
    start = None
    if recipe.pretrained is not None:
        start = look_up(recipe, recipe.pretrained, download=flags.download)
    fixed = frozenset(_fixed(flags, recipe, changes)) if is_named else None
    return Asked(recipe, fixed, notes, start)


def _fixed(flags: RecipeFlags, recipe: Recipe, changes: dict[str, Any]) -> set[str]:
    fixed = {short_path(recipe, path) for path in changes}
    if flags.batch_size is not None:
        sized = {"data.batch_size": flags.batch_size, "optimizer.lr": None}
        fixed |= _in_each_phase(recipe, sized).keys()
    return fixed


def _in_each_phase(recipe: Recipe, changes: dict[str, Any]) -> dict[str, Any]:
    """Returns the changes with those inside a phase made in each, where there are several."""
    if len(recipe.phases) == 1:
        return changes
    inner = {field.name for field in dataclasses.fields(Phase)}
    spread: dict[str, Any] = {}
    for path, value in changes.items():
        inside = path.split(".")[0] in inner
        places = [f"phases.{place}." for place in range(len(recipe.phases))] if inside else [""]
        spread |= {f"{place}{path}": value for place in places}
    return spread


def _wishes(flags: RecipeFlags) -> Wishes:
    return Wishes(
        teachers=tuple(str(Path(run).absolute()) for run in flags.teacher),
        unlabelled=Unlabelled(source=place) if (place := _place(flags.unlabelled)) else None,
        learn_from=_learn_from(flags.learn_from),
    )


def _learn_from(where: str | None) -> Unlabelled | Patches | None:
    if where is None:
        return None
    if where in PHOTOS:
        return Patches(image=where)
    place = str(_place(where))
    return Patches(image=place) if is_photo(place) else Unlabelled(source=place)


def _typed(flags: RecipeFlags) -> dict[str, Any]:
    """Returns the typed flags that were given as changes by path."""
    given = {
        "data.source": _place(flags.data),
        "length": None if flags.epochs is None else epochs(flags.epochs),
        "data.preprocess.image_size": flags.image_size,
        "optimizer.lr": flags.lr,
        "seed": flags.seed,
        "execution.device": flags.device,
        "execution.precision": flags.precision,
        "execution.workers": flags.workers,
        "execution.compile": True if flags.compile else None,
        "execution.gradient_checkpointing": True if flags.gradient_checkpointing else None,
        "pretrained": _pretrained(flags),
    }
    return {path: value for path, value in given.items() if value is not None}


def _model(flags: RecipeFlags) -> BackboneSpec | None:
    """Returns the spec of the named model; with the weights of a run, by default that of the
    run."""
    if flags.model is not None:
        return find_spec(flags.model)
    if flags.weights is not None and Path(flags.weights).is_dir():
        return load(flags.weights).model
    return None


def _pretrained(flags: RecipeFlags) -> Pretrained | None:
    if flags.weights is None:
        return Pretrained() if flags.pretrained else None
    path = Path(flags.weights)
    return Pretrained(weights=str(path.absolute()) if path.exists() else flags.weights)


def _place(data: str | None) -> str | None:
    """Returns a path from the root, so that the run finds its images from any folder."""
    return data if data is None or data in SHELF else str(Path(data).absolute())
