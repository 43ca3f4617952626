"""`vertebra study data`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from vertebra.cli.flags import require_known, shown
from vertebra.cli.study_flags import StudyFlags
from vertebra.errors import RecipeError

if TYPE_CHECKING:
    from vertebra.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Arguments(StudyFlags):
    """Say what more images would give, or cleaner labels.

    Runs on shares of your training images, each class its share and a smaller one within every
    larger, once for each seed; a line of accuracy over the logarithm of images, with its interval.
    What selects and reports keeps all its images and its labels.
    """

    fractions: Annotated[tuple[float, ...], shown("SHARE...")] = (0.1, 0.25, 0.5, 1.0)
    """Shares of the training images; a line needs three or more."""
    noise: Annotated[tuple[float, ...], shown("RATE...")] = (0.0,)
    """Rates of wrong labels, drawn evenly from the other classes."""
    widths: Annotated[tuple[float, ...], shown("WIDTH...")] = ()
    """Networks of these widths, in place of the one that the recipe's has; small has 0.25."""
    models: Annotated[tuple[str, ...], shown("NAME...")] = ()
    """Networks by name, in place of the recipe's."""
    equal_updates: Annotated[bool, shown()] = False
    """As many updates in each row as on all images, which is what is done if nothing is said."""
    equal_epochs: Annotated[bool, shown()] = False
    """As many epochs in each row instead: cheaper, but fewer images then learn for less long."""


def run(arguments: Arguments) -> int:
    """Runs the study; returns the exit code."""
    if arguments.equal_updates and arguments.equal_epochs:
        raise RecipeError("--equal-updates and --equal-epochs exclude each other; give one")
    if arguments.models and arguments.model is not None:
        raise RecipeError("--model and --models both say which network; give one")
    wanted = [replace(arguments, model=name) for name in arguments.models] or [arguments]
    for flags in wanted:
        require_known(flags)

    from vertebra.cli.choose import choose_row
    from vertebra.cli.reading import reading
    from vertebra.cli.study_precision import in_shared_precision
    from vertebra.cli.studying import answer, data_name, typed
    from vertebra.data.fraction import fraction
    from vertebra.engine.distributed import World
    from vertebra.studies.data_scaling import data_cells
    from vertebra.studies.study import Study

    with reading() as on_progress:
        chosen = [choose_row(flags, world=World(), on_progress=on_progress) for flags in wanted]
    train = chosen[0].materials[-1].train
    networks = {
        name: sized
        for model, each in zip(arguments.models or ("",), chosen, strict=True)
        for name, sized in _sized(model, each.recipe, arguments.widths)
    }
    cells = data_cells(
        networks,
        {share: len(fraction(train, share, seed=0)) for share in arguments.fractions},
        rates=arguments.noise,
        updates_of=None if arguments.equal_epochs else len(train),
    )
    study = Study(
        kind="data",
        question=f"What would more images than those of {data_name(chosen[0].recipe)} give?",
        cells=in_shared_precision(cells, arguments, fixed=chosen[0].fixed),
        seeds=tuple(range(arguments.seeds)),
        command=typed(),
        threads=arguments.threads_of_a_run(),
        facts={"equal": "epochs" if arguments.equal_epochs else "updates"},
    )
    return answer(study, arguments)


def _sized(
    model: str, recipe: "Recipe", widths: tuple[float, ...]
) -> Iterator[tuple[str, "Recipe"]]:
    """Yields the recipe in each width, or as it is, with what its network is called."""
    from vertebra.models.shelf import title
    from vertebra.studies.axes import with_size

    for width in widths or (None,):
        parts = (model, "" if width is None else f"width {width:g}")
        said = ", ".join(part for part in parts if part)
        sized = with_size(recipe, width=width)
        yield said or title(sized.model), sized
