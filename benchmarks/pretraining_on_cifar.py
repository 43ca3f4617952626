"""Pretraining without labels against fresh weights: what a small network's features are worth.

Pretrains by BYOL and by SimCLR on all training images, and prints, over seeds with a 95%
t-interval, what nearest neighbours and a linear map make of the features on the reported split,
and what fine-tuning on a share of the labels reaches; beside them the same of fresh weights, where
the last is supervised training from scratch on that share. As `vertebra pretrain` and
`vertebra probe --fractions` do it; what lies finished in --out is read.

    uv run python benchmarks/pretraining_on_cifar.py --data cifar10-small.zip --out FOLDER
    uv run python benchmarks/pretraining_on_cifar.py --data cifar10-small.zip --out FOLDER --cost
"""

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from methods_on_cifar import PLAIN, Job, baseline, finished, interval, print_costs
from vertebra.recipes.few_labels import FewLabels, attempt, plan
from vertebra.recipes.materials import gather
from vertebra.recipes.probe import Protocols, images_for, run_subject, untrained, worth
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes
from vertebra.tasks.linear_probe import LinearProbe
from vertebra.tasks.neighbours import Neighbours

FRESH = "fresh weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["byol", "simclr"])
    parser.add_argument("--epochs", type=float, default=40)
    parser.add_argument("--fraction", type=float, default=0.1, help="of the labels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cost", action="store_true", help="time and memory of a step instead")
    parser.add_argument("--rounds", type=int, default=3, help="of --cost")
    given = parser.parse_args()
    if given.cost:
        recipes = {method: recipe(given.data, method, 1, 0) for method in given.methods}
        print_costs("no labels", {PLAIN: baseline(given.data, 1, 0), **recipes}, given)
    else:
        print_worths(given)


def print_worths(given: argparse.Namespace) -> None:
    jobs = [
        (Job(recipe(given.data, method, given.epochs, seed), given.out / f"{method}-{seed}"), given)
        for seed in range(given.seeds)
        for method in given.methods
    ]
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        found = list(pool.map(judged, *zip(*jobs, strict=True)))
    rows: dict[str, list[dict[str, float]]] = {FRESH: []}
    for (job, _), (fresh, trained) in zip(jobs, found, strict=True):
        method = job.directory.name.rpartition("-")[0]
        rows.setdefault(method, []).append(trained)
        if method == given.methods[0]:  # the weights of a seed are the same for all methods
            rows[FRESH].append(fresh)
    columns = list(rows[FRESH][0])
    print(f"\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, seeds in rows.items():
        cells = [interval([figures[column] for figures in seeds]) for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")
    for name in given.methods:
        cells = [interval(gains(rows, name, column)) for column in columns]
        print(f"| {name} minus {FRESH}, paired | {' | '.join(cells)} |")


def recipe(data: Path, method: str, length: float, seed: int) -> Recipe:
    return learn(baseline(data, length, seed), method, Wishes()).recipe


def judged(job: Job, given: argparse.Namespace) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the figures of fresh weights and of those that the job has left."""
    torch.set_num_threads(1)
    kept = job.directory.with_suffix(".json")
    if not kept.is_file():
        finished(job)
        kept.write_text(json.dumps(probed(job, given)))
    fresh, trained = json.loads(kept.read_text())
    return fresh, trained


def probed(job: Job, given: argparse.Namespace) -> tuple[dict[str, float], dict[str, float]]:
    source = str(given.data.absolute())
    subject = run_subject(job.directory, device="cpu")
    materials = gather(images_for(subject, source), seed=subject.seed)
    protocols = Protocols(neighbours=Neighbours(), linear=LinearProbe())
    fresh, trained = (
        worth(name, deployed, materials.splits, protocols)
        for name, deployed in ((FRESH, untrained(subject)), (subject.name, subject.deployed))
    )
    few = FewLabels(fractions=(given.fraction,), seeds=1)
    trials = plan(few, subject, materials.survey, source)
    outcomes = {
        outcome.is_pretrained: outcome.top1
        for outcome in attempt(trials, job.directory.with_suffix(".few"), view=None)
    }
    share = f"trained on {given.fraction:.0%} of labels"
    return tuple(
        {
            "20 neighbours": found.neighbours,
            "linear map": found.linear,
            share: outcomes[is_pretrained],
        }
        for found, is_pretrained in ((fresh, False), (trained, True))
    )


def gains(rows: dict[str, list[dict[str, float]]], name: str, column: str) -> Sequence[float]:
    pairs = zip(rows[name], rows[FRESH], strict=True)
    return [ours[column] - theirs[column] for ours, theirs in pairs]


if __name__ == "__main__":
    main()
