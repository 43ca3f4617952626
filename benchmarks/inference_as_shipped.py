"""Inference in our fast form against timm's models as they come: eager, in torch's own settings.

With the same images, fp32 and random weights; see `sides.py` for how they are timed.

    uv run python benchmarks/inference_as_shipped.py --batch-size 16
    uv run python benchmarks/inference_as_shipped.py --models resnest50 --channels-last
"""

import argparse
from collections.abc import Callable
from functools import partial

from sides import compare, print_means, product

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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=3, help="of a round, for each")
    parser.add_argument("--channels-last", action="store_true", help="timm's models too")
    given = parser.parse_args()
    ratios: list[float] = []
    for name in given.models:
        builds = {
            "peer": partial(timms, name, given.batch_size, by_pixel=given.channels_last),
            "ours": partial(ours, name, given.batch_size),
            "product": partial(same_product, name, given.batch_size),
        }
        ratios.append(compare(name, builds, rounds=given.rounds, calls=given.calls))
    print_means(ratios)


def timms(name: str, batch_size: int, *, by_pixel: bool) -> Callable[[], object]:
    import timm
    import torch

    torch.manual_seed(0)
    layout = torch.channels_last if by_pixel else torch.contiguous_format
    model = timm.create_model(MODELS[name]).eval().to(memory_format=layout)
    size = side(name)
    images = torch.randn(batch_size, 3, size, size).contiguous(memory_format=layout)

    @torch.inference_mode()
    def call() -> object:
        return model(images)

    return call


def ours(name: str, batch_size: int) -> Callable[[], object]:
    import torch

    from vertebra.engine.heap import keep_in_heap
    from vertebra.export.optimize import optimize
    from vertebra.tasks.classify import create_model

    keep_in_heap(torch.device("cpu"))
    torch.manual_seed(0)
    size = side(name)
    images = torch.randn(batch_size, 3, size, size)
    fast = optimize(create_model(name, num_classes=1000), images[:2], batch_size=batch_size)
    return lambda: fast(images)


def same_product(name: str, batch_size: int) -> Callable[[], object]:
    from vertebra.bench.operators import operators
    from vertebra.tasks.classify import create_model

    found = operators(create_model(name, num_classes=1000), image_size=side(name))
    return product(batch_size * sum(found.macs.values()))


def side(name: str) -> int:
    """Returns the side of the images that the model was made for, in pixels."""
    import timm

    return timm.models.get_pretrained_cfg(MODELS[name]).input_size[-1]


if __name__ == "__main__":
    main()
