"""What the vectors of a backbone are worth, without training it: nearest neighbours and a linear
map.

The rate of the map is chosen on the minival; the reported split is looked at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from vertebra.data.images import Split
from vertebra.data.split import Splits
from vertebra.engine.evaluate import evaluate
from vertebra.models.shelf import find_spec
from vertebra.recipes.apply import batches
from vertebra.recipes.deploy import Deployed, load_run
from vertebra.recipes.fit import fit
from vertebra.recipes.materials import build_model, gather
from vertebra.recipes.recipe import Data, Pretrained
from vertebra.recipes.shelf import load
from vertebra.recipes.start import load_start, look_up
from vertebra.recipes.vary import vary
from vertebra.tasks.features import FeatureCollector, Features, share_right
from vertebra.tasks.linear_probe import LinearProbe
from vertebra.tasks.neighbours import Neighbours


class Subject(NamedTuple):
    """A pretrained backbone.

    pretrained: how a recipe starts from it.
    seed:       divided the images that it was trained on; dividing them so again holds out those
                that it has not seen.
    """

    name: str
    deployed: Deployed
    pretrained: Pretrained
    seed: int


@dataclass(frozen=True, kw_only=True)
class Protocols:
    """What is measured; None leaves it out."""

    neighbours: Neighbours | None
    linear: LinearProbe | None


class Worth(NamedTuple):
    """Shares of the reported images that are told right, None of what was not measured.

    rate, held_out: of the linear map: its rate, and the share on the minival that chose it.
    """

    backbone: str
    neighbours: float | None = None
    linear: float | None = None
    rate: float | None = None
    held_out: float | None = None


def run_subject(directory: Path, *, device: str | None) -> Subject:
    """Returns the backbone that a run selected.

    Raises:
        CheckpointError: there is no run, or no weights in it.
    """
    deployed = load_run(directory, device=device)
    data, seed = deployed.recipe.phases[-1].data, deployed.recipe.seed
    pretrained = Pretrained(weights=str(directory.absolute()))
    return Subject(str(directory), deployed, pretrained, data.held_out_by(seed))


def model_subject(
    name: str, source: str, *, weights: str, device: str | None, download: bool
) -> Subject:
    """Returns the backbone of a named model with published weights, at the image size that the
    recipe `finetune` would take for the images at `source`.

    Raises:
        CheckpointError: there are no such weights, or not on this machine.
        DataError: there are no such images.
    """
    pretrained = Pretrained(weights=weights)
    recipe = vary(
        load("finetune"),
        {"model": find_spec(name), "data.source": source, "pretrained": pretrained},
    )
    execution = replace(recipe.execution, device=device or recipe.execution.device)
    target = execution.resolve()
    start = look_up(recipe, pretrained, download=download)
    materials = gather(recipe.phases[0].data, seed=recipe.seed)
    recipe = fit(recipe, materials, start=start).recipe
    model = build_model(recipe, len(materials.classes))
    load_start(model, recipe, pretrained, classes=materials.classes, download=download)
    execution.place(model, target)
    preprocess = recipe.phases[0].data.preprocess
    deployed = Deployed(model.eval(), materials.classes, preprocess, recipe, execution, target)
    return Subject(name, deployed, pretrained, recipe.seed)


def untrained(subject: Subject) -> Deployed:
    """Returns the same model with the fresh weights that its recipe's seed draws."""
    deployed = subject.deployed
    model = build_model(deployed.recipe, max(1, len(deployed.classes)))
    deployed.execution.place(model, deployed.device)
    return replace(deployed, model=model.eval())


def images_for(subject: Subject, source: str) -> Data:
    """Returns the images at `source` as the backbone takes them, divided as for its training."""
    preprocess = subject.deployed.preprocess
    return Data(source=source, preprocess=preprocess, split_seed=subject.seed)


def worth(
    name: str,
    deployed: Deployed,
    splits: Splits,
    protocols: Protocols,
    *,
    on_images: Callable[[int], None] | None = None,
) -> Worth:
    """Returns what the backbone's vectors of `splits` are worth; changes nothing of it.

    on_images: is told of so many more images that have been looked at.

    Raises:
        BrokenImage: a file cannot be read.
    """
    train, held_out, report = (
        _features(deployed, split, on_images)
        for split in (splits.train, splits.minival, splits.report)
    )
    classes, found = len(splits.train.classes), Worth(name)
    if protocols.neighbours is not None:
        votes = protocols.neighbours.votes(report.vectors, train, classes=classes)
        found = found._replace(neighbours=share_right(votes, report.targets))
    if protocols.linear is not None:
        probe = protocols.linear.fit(train, held_out, classes=classes, seed=deployed.recipe.seed)
        found = found._replace(
            linear=share_right(probe.logits(report.vectors), report.targets),
            rate=probe.rate,
            held_out=probe.held_out,
        )
    return found


def _features(
    deployed: Deployed, split: Split, on_images: Callable[[int], None] | None
) -> Features:
    collector = FeatureCollector()
    evaluate(
        deployed.model.backbone,
        batches(deployed, split, batch_size=deployed.recipe.phases[-1].pass_size),
        collector,
        device=deployed.device,
        execution=deployed.execution,
        on_batch=on_images,
    )
    return collector.result()
