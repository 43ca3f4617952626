"""ResNet-RS against EfficientNet at matched published accuracy: training step and inference.

For each EfficientNet the row of ResNet-RS whose published top-1 is nearest. The two are timed in
turn, at the same batch, which is halved until both fit; both by SGD, because the network and not
the optimizer is compared. The EfficientNets are timm's with symmetric padding, which are faster
than those that pad as TensorFlow does. A ratio is of the medians of one round; above 1, ResNet-RS
is faster. Published for a training step: 2.1 to 3.3 times on a V100 in fp32, 1.7 to 2.7 on a TPUv3.

    uv run python benchmarks/resnet_rs_against_efficientnet.py --device cuda --precision bf16 \
        --channels-last
    uv run python benchmarks/resnet_rs_against_efficientnet.py --rivals 1 --image-scale 0.25 \
        --batch-size 2 --rounds 2 --budget 1          a smoke check on a CPU
"""

import argparse
import gc
import json
from collections.abc import Callable
from dataclasses import asdict
from statistics import geometric_mean
from typing import NamedTuple

import timm
import torch

from vertebra.bench.failure import is_out_of_memory
from vertebra.bench.latency import ROUNDS, Spread, interleaved, quantile
from vertebra.bench.settings import BenchSettings
from vertebra.bench.work import (
    Subject,
    Work,
    draw_images,
    inference,
    inference_form,
    synchronizer,
    training_step,
)
from vertebra.models.published import Published, published, published_of
from vertebra.tasks.classify import create_model

PUBLISHED_V100 = {6: 15.7 / 4.7, 7: 29.9 / 10.2}
"""Published ratios of training steps on a V100, of the rivals B6 and B7 (the paper's table 3)."""

Form = Callable[[Subject, int, BenchSettings], Work]


class Pair(NamedTuple):
    """A rival and the ResNet-RS that is published to be as accurate."""

    rival: int
    theirs: Published
    ours: Published


class Timed(NamedTuple):
    """Their time over ours, at a batch."""

    ratio: Spread
    batch_size: int
    ours_ms: float
    theirs_ms: float


def main() -> None:
    given = arguments()
    settings = BenchSettings(
        precision=given.precision,
        device=given.device,
        channels_last=given.channels_last,
        compile=given.compile,
        budget_s=given.budget,
    )
    forms: dict[str, Form] = {"training": train, "inference": infer}
    ratios: dict[str, list[float]] = {name: [] for name in forms}
    rows: list[dict[str, object]] = []
    for each in map(pair, given.rivals):
        print(title(each))
        row: dict[str, object] = {"ours": each.ours, "theirs": each.theirs}
        for name, form in forms.items():
            found = compare(each, form, settings, given)
            ratios[name].append(found.ratio.p50)
            row[name] = {**found._asdict(), "ratio": asdict(found.ratio)}
            print(line(name, found), flush=True)
        rows.append(row)
    means = {name: geometric_mean(values) for name, values in ratios.items()}
    for name, mean in means.items():
        print(f"{name}: geometric mean {mean:.2f}, {min(ratios[name]):.2f} to ", end="")
        print(f"{max(ratios[name]):.2f}{'; published 2.1 to 3.3' if name == 'training' else ''}")
    print(json.dumps({"settings": asdict(settings), "means": means, "pairs": rows}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rivals", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6, 7])
    parser.add_argument("--batch-size", type=int, default=128, help="halved until both fit")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for each network")
    parser.add_argument(
        "--image-scale", type=float, default=1.0, help="other than 1: a smoke check"
    )
    return parser.parse_args()


def pair(rival: int) -> Pair:
    """Returns EfficientNet-B`rival` and the nearest ResNet-RS; of two as near, the better one."""
    (theirs,) = published_of(f"timm/tf_efficientnet_b{rival}")
    rows = [each for each in published() if each.model.startswith("resnetrs")]
    ours = min(rows, key=lambda each: (round(abs(each.top1 - theirs.top1), 4), -each.top1))
    return Pair(rival, theirs, ours)


def compare(each: Pair, form: Form, settings: BenchSettings, given: argparse.Namespace) -> Timed:
    names = {"ours": each.ours, "theirs": each.theirs}
    subjects = {
        side: Subject(
            name=figure.model,
            image_size=max(32, round(figure.image_size * given.image_scale)),
            build=builder(figure.model),
        )
        for side, figure in names.items()
    }
    size = given.batch_size
    while True:
        try:
            blocks = interleaved(
                {side: form(subject, size, settings) for side, subject in subjects.items()},
                budget_s=settings.budget_s,
                synchronize=synchronizer(settings.torch_device),
                rounds=given.rounds,
            )
            break
        except RuntimeError as error:
            if not is_out_of_memory(error) or size == 1:
                raise
            size //= 2
        # outside of the handler, whose error holds what has to be freed
        gc.collect()
        torch.cuda.empty_cache()
    ours, theirs = ([quantile(block, 0.5) for block in blocks[side]] for side in names)
    return Timed(
        ratio=Spread.of([their / our for our, their in zip(ours, theirs, strict=True)]),
        batch_size=size,
        ours_ms=1000 * quantile(ours, 0.5),
        theirs_ms=1000 * quantile(theirs, 0.5),
    )


def builder(model: str) -> Callable[[], torch.nn.Module]:
    if model.startswith("timm/"):
        name = model.removeprefix("timm/tf_")
        return lambda: timm.create_model(name)
    return lambda: create_model(model, num_classes=1000)


def train(subject: Subject, batch_size: int, settings: BenchSettings) -> Work:
    return training_step(subject, draw_images(subject, batch_size, settings), settings)


def infer(subject: Subject, batch_size: int, settings: BenchSettings) -> Work:
    images = draw_images(subject, batch_size, settings)
    return inference(inference_form(subject, settings), images, settings)


def title(each: Pair) -> str:
    shown = [
        f"{figure.model} at {figure.image_size} px ({100 * figure.top1:.1f}%)"
        for figure in (each.ours, each.theirs)
    ]
    v100 = PUBLISHED_V100.get(each.rival)
    return " against ".join(shown) + (f", published on a V100: {v100:.1f}" if v100 else "")


def line(name: str, found: Timed) -> str:
    spread = found.ratio
    return (
        f"  {name:<10} ratio {spread.p50:.2f} ({spread.p25:.2f} to {spread.p75:.2f}); "
        f"{found.ours_ms:.2f} and {found.theirs_ms:.2f} ms at batch {found.batch_size}"
    )


if __name__ == "__main__":
    main()
