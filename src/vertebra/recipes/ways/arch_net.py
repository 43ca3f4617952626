"""Turning a finished run into one of only widely supported operators, quantised, without labels.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors: rate, decay, mixup, growing periods.
Differs: the targets grow by the stages of the network, in four periods, of which the last one is
the longest; `periods` of `recipes/arch_net.py` grows them one by one. The crops are the recipe's.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.patches import Patches
from vertebra.errors import RecipeError
from vertebra.methods.arch_net import ArchNetDistillSpec
from vertebra.models.arch_net import ArchNetSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import title
from vertebra.recipes.arch_net import MIXING, OPTIMIZER, growth, periods, shared
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Expectation, Phase, Recipe
from vertebra.recipes.shelf import load
from vertebra.recipes.teachers import input_of
from vertebra.recipes.ways.wishes import Wishes


def is_arch_net(recipe: Recipe) -> bool:
    """Returns whether every phase teaches an Arch-Net already."""
    return all(isinstance(phase.method, ArchNetDistillSpec) for phase in recipe.phases)


def adapt(recipe: Recipe, wishes: Wishes) -> Fitted:
    """Returns the recipe as the distillation of one finished run into its Arch-Net, in periods.

    The length is that of the recipe's last phase. A recipe that does so already keeps its periods.

    Raises:
        RecipeError: there is not one teacher, it has no Arch-Net, or something was given in vain.
        CheckpointError: the teacher is no run.
    """
    wishes.refuse_all_but("arch-net", "teachers", "learn_from")
    if len(wishes.teachers) != 1:
        raise RecipeError(
            f"arch-net turns one finished run into an Arch-Net and {len(wishes.teachers)} are "
            f"given; give one with --teacher RUN"
        )
    model = _model(recipe, wishes.teachers[0])
    grown = recipe.phases if is_arch_net(recipe) else _grown(recipe.phases[-1], model)
    _require_so_many(grown, model)
    made = replace(
        recipe,
        model=model,
        phases=tuple(_taught(phase, wishes) for phase in grown),
        expects=Expectation(),
        pretrained=None,
        dropout=0.0,
        selection=replace(recipe.selection, keep="last"),
    )
    return Fitted(made, () if grown is recipe.phases else _notes(made))


def _model(recipe: Recipe, teacher: str) -> ArchNetSpec:
    """Returns the Arch-Net of the teacher's network, in the numbers of the recipe's, if any."""
    network = load(teacher).model
    if not isinstance(network, ResNetSpec):
        raise RecipeError(
            f"the teacher is {title(network)}, of which no Arch-Net is known; train a plain "
            f"residual network, as `vertebra train DATA --model resnet18`, and give that run"
        )
    if isinstance(recipe.model, ArchNetSpec):
        return replace(recipe.model, of=network)
    return ArchNetSpec(of=network)


def _grown(phase: Phase, model: ArchNetSpec) -> tuple[Phase, ...]:
    growing = growth(model, each="stage")
    return periods(phase, growing, lengths=shared(phase.length, len(growing)))


def _require_so_many(phases: tuple[Phase, ...], model: ArchNetSpec) -> None:
    """Refuses a recipe whose later phases would find too few targets."""
    there = model.stage_ends[-1] + 1
    methods = [phase.method for phase in phases]
    most = max(each.targets or 0 for each in methods if isinstance(each, ArchNetDistillSpec))
    if most > there:
        raise RecipeError(
            f"the recipe grows to targets={most} and the {title(model)} has {there}; leave the "
            f"recipe out to have one made for it"
        )


def _taught(phase: Phase, wishes: Wishes) -> Phase:
    """Returns the phase with the teacher, and with images as it knows them."""
    (teacher,) = wishes.teachers
    data, method = phase.data, phase.method
    images = data.learn_from if wishes.learn_from is None else wishes.learn_from
    preprocess = input_of(teacher)
    if isinstance(images, Patches):
        images = replace(images, size_px=preprocess.image_size)
    augment = Augment(crop=data.augment.crop, flip=data.augment.flip, mixing=MIXING)
    data = replace(data, preprocess=preprocess, augment=augment, learn_from=images)
    data = replace(data, views=(), beside=None)
    if isinstance(method, ArchNetDistillSpec):
        method = replace(method, teachers=wishes.teachers)
    return replace(phase, data=data, method=method)


def _notes(made: Recipe) -> tuple[str, ...]:
    return (
        f"model: {title(made.model)}, from the teacher's weights",
        f"phases: {len(made.phases)}, each teaches one more stage than the one before and the last "
        f"the logits too",
        f"optimizer: AdamW, lr {OPTIMIZER.lr:g} at batch 256, as published, no average",
        "data.augment: the recipe's crops and flips, one batch in ten with mixup; no labels",
        "selection.keep: last, as no label is learnt from, not even by choosing",
    )
