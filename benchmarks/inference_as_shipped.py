"""Inference in our fast form against timm's models: eager, in one of three settings.

shipped        as they come, in torch's own settings
channels-last  weights and images channels last
autocast       in bf16 by torch's autocast, in the faster of the two layouts

With the same images and random weights; see `sides.py` for how they are timed.

    uv run python benchmarks/inference_as_shipped.py --batch-size 16
    uv run python benchmarks/inference_as_shipped.py --batch-size 16 --precision bf16
    uv run python benchmarks/inference_as_shipped.py --models resnest50 --peer channels-last
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sides import Trial, compare, print_means, product

MODELS = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet50d": "resnet50d",
    "seresnet50": "seresnet50",
    "resnetrs50": "resnetrs50",
    "resnest50": "resnest50d",
    "ghostnet_100": "ghostnet_100",
    "convnext_tiny": "convnext_tiny",
    "levit_192": "levit_192",
    "levit_256": "levit_256",
    "timm/efficientnet_b0": "efficientnet_b0",
    "timm/efficientnet_b3": "efficientnet_b3",
}
"""Our name -> timm's."""

AGAINST = {
    "shipped": "timm as it comes",
    "channels-last": "timm, channels last",
    "autocast": "timm in bf16 by autocast, in its faster layout",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=3, help="of a round, for each")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="ours")
    parser.add_argument("--peer", choices=list(AGAINST), default="shipped")
    parser.add_argument("--record", type=Path, help="append what is found to this file")
    given = parser.parse_args()
    trial = Trial(
        work=f"inference, batch {given.batch_size}, {given.precision}",
        against=AGAINST[given.peer],
        rounds=given.rounds,
        calls=given.calls,
        file=given.record,
    )
    ratios: list[float] = []
    for name in given.models:
        size = side(name)  # here: our process need not import timm
        builds = {
            "peer": partial(timms, name, given.batch_size, size, given.peer),
            "ours": partial(ours, name, given.batch_size, size, given.precision),
            "product": partial(same_product, name, given.batch_size, size),
        }
        ratios.append(compare(name, builds, trial))
    print_means(ratios)


def timms(name: str, batch_size: int, size: int, peer: str) -> Callable[[], object]:
    import torch

    plain, by_pixel = torch.contiguous_format, torch.channels_last
    if peer == "shipped":
        return timms_in(name, batch_size, size, layout=plain, half=False)
    if peer == "channels-last":
        return timms_in(name, batch_size, size, layout=by_pixel, half=False)
    both = [timms_in(name, batch_size, size, layout=each, half=True) for each in (plain, by_pixel)]
    return min(both, key=seconds)


def timms_in(
    name: str, batch_size: int, size: int, *, layout: object, half: bool
) -> Callable[[], object]:
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model(MODELS[name]).eval().to(memory_format=layout)
    images = torch.randn(batch_size, 3, size, size).contiguous(memory_format=layout)

    @torch.inference_mode()
    def call() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return model(images)

    return call


def seconds(call: Callable[[], object]) -> float:
    """Returns the least time of three calls, after one that does not count."""
    call()
    took: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return min(took)


def ours(name: str, batch_size: int, size: int, precision: str) -> Callable[[], object]:
    import torch

    from vertebra.engine.heap import keep_in_heap, keep_out_of_heap
    from vertebra.export.optimize import optimize
    from vertebra.tasks.classify import create_model

    cpu = torch.device("cpu")
    keep_out_of_heap(cpu)
    torch.manual_seed(0)
    images = torch.randn(batch_size, 3, size, size)
    model = create_model(name, num_classes=1000)
    fast = optimize(model, images[:2], batch_size=batch_size, precision=precision)
    fast(images)
    keep_in_heap(cpu)
    return lambda: fast(images)


def same_product(name: str, batch_size: int, size: int) -> Callable[[], object]:
    from vertebra.bench.operators import operators
    from vertebra.tasks.classify import create_model

    found = operators(create_model(name, num_classes=1000), image_size=size)
    return product(batch_size * sum(found.macs.values()))


def side(name: str) -> int:
    """Returns the side of the images that the model was made for, in pixels."""
    import timm

    return timm.models.get_pretrained_cfg(MODELS[name]).input_size[-1]


if __name__ == "__main__":
    main()
