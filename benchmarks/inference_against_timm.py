"""Inference of our own implementations against the same models of timm, everything else equal.

Both are plain eager modules in evaluation, with the same weights, layout, precision and threads, in
one process that keeps freed memory (unless --hand-back), as every command of ours does; the two and
our folded form are timed in turn (A B C A B C ...). A ratio is of the medians of one round; printed
are the median and the quartiles over the rounds, and the page faults of a pass: memory that it had
to ask the system for again. Above 1, ours is faster.

    uv run python benchmarks/inference_against_timm.py --threads 1
"""

import argparse
import json
import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import geometric_mean

import timm
import torch
from torch import Tensor, nn

from vertebra.bench.latency import ROUNDS, Spread, interleaved, quantile
from vertebra.bench.settings import BenchSettings
from vertebra.bench.work import Subject, draw_images, inference, inference_form, synchronizer
from vertebra.contracts import Classifier
from vertebra.engine.heap import keep_in_heap
from vertebra.errors import CheckpointError
from vertebra.models.shelf import SHELF
from vertebra.models.weights import load_timm
from vertebra.tasks.classify import create_model

TIMM_NAMES = {
    "resnet50": "resnet50",
    "resnetrs50": "resnetrs50",
    "resnest50": "resnest50d",
    "ghostnet_100": "ghostnet_100",
    "convnext_tiny": "convnext_tiny",
    "levit_192": "levit_192",
}
"""Our name -> timm's."""

PASSES = 10
"""Over which page faults are counted."""


@dataclass(frozen=True)
class Found:
    """Ratios of times; `difference` is the largest of the logits, None for other weights.

    faults: page faults of a pass.
    """

    timm_to_ours: Spread
    ours_to_fused: Spread
    milliseconds: dict[str, float]
    faults: dict[str, float]
    difference: float | None


def main() -> None:
    given = arguments()
    settings = BenchSettings(
        batch_size=given.batch_size,
        precision=given.precision,
        device=given.device,
        channels_last=given.channels_last,
        budget_s=given.budget,
    )
    if not given.hand_back:
        keep_in_heap(settings.torch_device)
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    found: dict[str, Found] = {}
    for name in given.models:
        size = given.image_size or SHELF[name].image_size
        found[name] = compare(name, size, settings, rounds=given.rounds)
        print(line(name, found[name]), flush=True)
    means = {
        "timm_to_ours": geometric_mean(each.timm_to_ours.p50 for each in found.values()),
        "ours_to_fused": geometric_mean(each.ours_to_fused.p50 for each in found.values()),
    }
    print(f"geometric mean: timm / ours {means['timm_to_ours']:.3f}, ", end="")
    print(f"ours / fused {means['ours_to_fused']:.3f}")
    rows = {name: asdict(each) for name, each in found.items()}
    threads = torch.get_num_threads()
    print(json.dumps({"settings": asdict(settings), "threads": threads, **means, "models": rows}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=list(TIMM_NAMES), choices=list(TIMM_NAMES))
    parser.add_argument("--image-size", type=int, help="default: the published one of each")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--hand-back", action="store_true", help="freed memory, to the system")
    parser.add_argument("--rounds", type=int, default=3 * ROUNDS)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each of the three")
    return parser.parse_args()


def compare(name: str, image_size: int, settings: BenchSettings, *, rounds: int) -> Found:
    torch.manual_seed(0)
    theirs = timm.create_model(TIMM_NAMES[name]).eval()
    ours = create_model(name, num_classes=1000).eval()
    subject = Subject(name=name, image_size=image_size, build=lambda: ours)
    images = draw_images(subject, settings.batch_size or 1, settings)
    difference = largest_difference(ours, theirs, images.cpu())
    forms = {
        "timm": placed(theirs, settings),
        "fused": placed(ours.fused(), settings),
        "ours": placed(ours, settings),
    }
    calls = {form: inference(model, images, settings) for form, model in forms.items()}
    blocks = interleaved(
        calls,
        budget_s=settings.budget_s,
        synchronize=synchronizer(settings.torch_device),
        rounds=rounds,
    )
    medians = {form: [quantile(block, 0.5) for block in each] for form, each in blocks.items()}
    return Found(
        timm_to_ours=ratio(medians["timm"], medians["ours"]),
        ours_to_fused=ratio(medians["ours"], medians["fused"]),
        milliseconds={form: 1000 * quantile(each, 0.5) for form, each in medians.items()},
        faults={form: page_faults(call) for form, call in calls.items()},
        difference=difference,
    )


def page_faults(call: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(PASSES):
        call()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / PASSES


@torch.inference_mode()
def largest_difference(ours: Classifier, theirs: nn.Module, images: Tensor) -> float | None:
    """Gives ours the weights of theirs, and returns how far their logits are apart."""
    try:
        load_timm(ours, theirs.state_dict())
    except CheckpointError as error:
        print(f"other weights, because {error}")
        return None
    return float((ours(images) - theirs(images)).abs().max())


def placed(model: nn.Module, settings: BenchSettings) -> nn.Module:
    """Returns the model on the device in the layout and precision of the settings."""
    subject = Subject(name="", image_size=1, build=lambda: model)
    return inference_form(subject, settings)


def ratio(slow: list[float], fast: list[float]) -> Spread:
    return Spread.of([ours / theirs for ours, theirs in zip(slow, fast, strict=True)])


def line(name: str, found: Found) -> str:
    spreads = {"timm / ours": found.timm_to_ours, "ours / fused": found.ours_to_fused}
    shown = [
        f"{what} {each.p50:.3f} ({each.p25:.3f} to {each.p75:.3f})"
        for what, each in spreads.items()
    ]
    times = ", ".join(f"{form} {each:.2f} ms" for form, each in found.milliseconds.items())
    same = "" if found.difference is None else f", logits within {found.difference:.1e}"
    faults = ", ".join(f"{form} {each:.0f}" for form, each in found.faults.items())
    return f"{name:<14} {', '.join(shown)}; {times}{same}; page faults {faults}"


if __name__ == "__main__":
    main()
