"""The images beside the labelled ones, labelled by a teacher before a phase learns from them.

The labels are kept in the run directory: a run that goes on after an interruption reads them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vertebra.contracts import Batch
from vertebra.data.beside import PseudoLabels
from vertebra.data.images import Split, listed
from vertebra.data.loader import EvaluationBatches
from vertebra.data.preprocess import Preprocess
from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.engine.evaluate import evaluate
from vertebra.engine.execution import Execution
from vertebra.errors import CheckpointError, DataError, Interrupted
from vertebra.methods.pseudo_labels import Tally, as_targets, balanced, confident, tally
from vertebra.recipes.apply import MOST_AT_ONCE
from vertebra.recipes.deploy import Deployed, load_run
from vertebra.recipes.materials import Materials
from vertebra.recipes.prepare import Prepared
from vertebra.recipes.session import Session
from vertebra.seeding import generator

MOST_CLASSES = 10
"""Up to so many classes are told of one by one."""


class Labeller(NamedTuple):
    """A model that names images, with what it makes of their files, and how it computes.

    classes: in the order of its logits; called: what it is, for people.
    """

    model: nn.Module
    classes: tuple[str, ...]
    preprocess: Preprocess
    execution: Execution
    device: torch.device
    called: str

    @classmethod
    def of_run(cls, run: Deployed, where: str) -> "Labeller":
        """Returns a finished run as one."""
        return cls(run.model, run.classes, run.preprocess, run.execution, run.device, where)


def labelled(
    prepared: Prepared, place: int, session: Session, *, left: nn.Module | None
) -> Materials:
    """Returns the materials of phase number `place`, those beside with labels if it wants some.

    left: the model that the phase before has left.

    Raises:
        CheckpointError: labels are to be read, and they are missing or of other images.
        DataError: the teacher knows other classes, a file cannot be read, or no image is kept.
        Interrupted: a signal arrived.
    """
    materials, beside = prepared.materials[place], prepared.recipe.phases[place].data.beside
    if beside is None or beside.labels is None or materials.beside is None:
        return materials
    pool, kept = materials.beside, session.directory.labels(place)
    if not checkpoint.exists(kept):
        labeller = _labeller(beside.labels, prepared, place, session, left=left)
        _make(labeller, beside.labels, pool, prepared, place, session)
    session.world.wait()  # the first process writes, all read
    saved = checkpoint.load(kept)
    if saved.state["images"] != pool.names.digest().hex():
        raise CheckpointError(
            f"{kept} labels other images than are there now; restore them or train anew"
        )
    tensors = saved.tensors["labels"]
    return replace(
        materials, beside=pool.subset(tensors["rows"].numpy()), labels=tensors["targets"]
    )


def probabilities(
    labeller: Labeller,
    split: Split,
    *,
    world: World | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Returns what the model gives to each of its classes for each image: [n, K] fp32 on the CPU.

    It sees the centre of each image in its own size, in evaluation mode. Each process of `world`
    looks at its share and all get all; the result is that of one process to the bit.

    Raises:
        BrokenImage: a file cannot be read.
    """
    alone = world or World()
    is_small = split.in_memory or len(split) <= MOST_AT_ONCE
    batches = EvaluationBatches(
        split,
        preprocess=labeller.preprocess,
        batch_size=MOST_AT_ONCE,
        workers=labeller.execution.worker_count(in_memory=is_small, processes=alone.size),
        device=labeller.device,
        rank=alone.rank,
        world=alone.size,
        layout=labeller.execution.layout,
    )
    answers = _Answers(len(split), len(labeller.classes))
    evaluate(
        labeller.model,
        batches,
        answers,
        device=labeller.device,
        execution=labeller.execution,
        world=world,
        on_batch=on_batch,
    )
    return answers.sums["probabilities"]


class _Answers:
    """Keeps probabilities by image: a metric, so that those of several processes add up."""

    def __init__(self, images: int, classes: int) -> None:
        self.sums = {"probabilities": torch.zeros(images, classes)}

    def update(self, outputs: Tensor, batch: Batch) -> None:
        self.sums["probabilities"][batch.index.cpu()] = outputs.float().softmax(1).cpu()


def _labeller(
    labels: PseudoLabels,
    prepared: Prepared,
    place: int,
    session: Session,
    *,
    left: nn.Module | None,
) -> Labeller:
    if labels.teacher is not None:
        return Labeller.of_run(load_run(labels.teacher, device=str(session.device)), labels.teacher)
    if left is None:
        raise CheckpointError(
            f"{session.directory.labels(place)} is missing, and with it the labels that phase "
            f"{place} learns from; restore it or train anew"
        )
    before = prepared.recipe.phases[place - 1].data.preprocess
    execution = prepared.recipe.execution
    called = f"the model of phase {place - 1}"
    return Labeller(left, prepared.classes, before, execution, session.device, called)


def _make(
    labeller: Labeller,
    labels: PseudoLabels,
    pool: Split,
    prepared: Prepared,
    place: int,
    session: Session,
) -> None:
    """Labels the images, tells how many are kept, and writes which and as what."""
    if session.view is not None:
        session.view.message(f"{labeller.called} labels {len(pool)} images")
    found = probabilities(
        labeller, pool, world=session.world, on_batch=lambda images: _stop_if_asked(session)
    )
    order = [labeller.classes.index(name) for name in prepared.classes]
    found = found[:, order]
    rows = _rows(found, labels, generator(prepared.recipe.seed, "pseudo-labels", place))
    counts = tally(found, rows)
    if not len(rows):
        raise DataError(
            f"{labeller.called} is sure of none of {len(pool)} images (at most "
            f"{found.max().item():.2f}, and labels.threshold={labels.threshold}); lower the "
            f"threshold or train a better teacher"
        )
    if session.view is not None:
        session.view.message(told(counts, prepared.classes))
    if session.world.leads:
        targets = as_targets(found[rows], hard=labels.hard, temperature=labels.temperature)
        checkpoint.save(
            session.directory.labels(place),
            tensors={"labels": {"rows": rows, "targets": targets}},
            state={
                "images": pool.names.digest().hex(),
                "labelled_by": labeller.called,
                **{name: value.tolist() for name, value in counts._asdict().items()},
            },
        )


def _stop_if_asked(session: Session) -> None:
    # of several processes one would stop while the others wait: they stop after an update
    if session.world.size == 1 and session.interrupts.asked is not None:
        raise Interrupted(
            f"stopped by {session.interrupts.asked} while images were labelled; begin that again "
            f"with `vertebra resume {session.directory.path}`"
        )


def _rows(found: Tensor, labels: PseudoLabels, drawn: torch.Generator) -> Tensor:
    if labels.per_class is None:
        return confident(found, labels.threshold)
    share = max(1, found.shape[0] // found.shape[1])
    return balanced(
        found,
        threshold=labels.threshold,
        per_class=share if labels.per_class == "even" else labels.per_class,
        generator=drawn,
    )


def told(counts: Tally, classes: Sequence[str]) -> str:
    """Returns a sentence on how many images are kept of how many, for each class."""
    found, kept, learnt = (int(each.sum()) for each in counts[:3])
    said = f"pseudo-labels: {kept} of {found} images are kept, {learnt} with repeats"
    rows = zip(classes, counts.kept.tolist(), counts.found.tolist(), strict=True)
    each = [f"{name} {mine} of {seen}" for name, mine, seen in rows]
    if len(classes) <= MOST_CLASSES:
        said += f" ({', '.join(each)})"
    else:
        said += f" ({int(counts.kept.min())} to {int(counts.kept.max())} a class)"
    none = [name for name, mine in zip(classes, counts.kept.tolist(), strict=True) if not mine]
    return f"{said}; none is {listed(none, 5)}" if none else said
