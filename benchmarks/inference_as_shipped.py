"""Inference in our fast form against timm's models as they come: eager, in torch's own settings.

Each side lives in a process of its own, as the fast form keeps large activations in the heap of
its process. They answer in turn (A B A B ...), with the same images, fp32, random weights; a ratio
is of the medians of one round. Above 1, ours is faster. Peak memory is the largest resident set of
either process after each model, weights of one model at a time.

    uv run python benchmarks/inference_as_shipped.py --batch-size 16
    uv run python benchmarks/inference_as_shipped.py --models resnest50 --channels-last
"""

import argparse
import gc
import multiprocessing as mp
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from statistics import geometric_mean, median
from typing import Any

from vertebra.bench.latency import Spread

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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=3, help="of a round, for each")
    parser.add_argument("--channels-last", action="store_true", help="timm's models too")
    given = parser.parse_args()
    sides = {"timm": start(timms_by_pixel if given.channels_last else timms), "ours": start(ours)}
    ratios: list[float] = []
    for name in given.models:
        for side, model in (("timm", MODELS[name]), ("ours", name)):
            ask(sides[side], ("load", model, given.batch_size))
        seconds: dict[str, list[float]] = {"timm": [], "ours": []}
        for _ in range(given.rounds):
            for side in seconds:
                seconds[side].append(ask(sides[side], ("time", given.calls)))
        pairs = zip(seconds["timm"], seconds["ours"], strict=True)
        ratio = Spread.of([theirs / own for theirs, own in pairs])
        ratios.append(ratio.p50)
        memory = {side: ask(pipe, ("memory",)) for side, pipe in sides.items()}
        print(
            f"{name:<22} {ratio.p50:.2f} times ({ratio.p25:.2f} to {ratio.p75:.2f}); "
            f"{1000 * median(seconds['timm']):.0f} and {1000 * median(seconds['ours']):.0f} ms; "
            f"peak so far {memory['timm']:.0f} and {memory['ours']:.0f} MB",
            flush=True,
        )
    print(f"geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    for pipe in sides.values():
        pipe.send(None)


def start(build: Callable[[str, int], Callable[[], object]]) -> Connection:
    """Returns the pipe to a process of its own that makes models by `build`."""
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(build, there), daemon=True).start()
    return here


def ask(pipe: Connection, question: tuple[Any, ...]) -> float:
    pipe.send(question)
    return pipe.recv()


def serve(build: Callable[[str, int], Callable[[], object]], pipe: Connection) -> None:
    call: Callable[[], object] = list
    while (question := pipe.recv()) is not None:
        match question:
            case ("load", name, batch_size):
                del call
                gc.collect()
                call = build(name, batch_size)
                call()
                pipe.send(0.0)
            case ("time", calls):
                call()
                pipe.send(median(timed(call) for _ in range(calls)))
            case _:
                pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def timms_by_pixel(name: str, batch_size: int) -> Callable[[], object]:
    return timms(name, batch_size, is_channels_last=True)


def timms(name: str, batch_size: int, is_channels_last: bool = False) -> Callable[[], object]:
    import timm
    import torch

    torch.manual_seed(0)
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    model = timm.create_model(name).eval().to(memory_format=layout)
    size = model.default_cfg["input_size"][-1]
    images = torch.randn(batch_size, 3, size, size).contiguous(memory_format=layout)

    @torch.inference_mode()
    def call() -> object:
        return model(images)

    return call


def ours(name: str, batch_size: int) -> Callable[[], object]:
    import timm
    import torch

    from vertebra.engine.heap import keep_in_heap
    from vertebra.export.optimize import optimize
    from vertebra.tasks.classify import create_model

    keep_in_heap(torch.device("cpu"))
    torch.manual_seed(0)
    size = timm.models.get_pretrained_cfg(MODELS[name]).input_size[-1]
    images = torch.randn(batch_size, 3, size, size)
    fast = optimize(create_model(name, num_classes=1000), images[:2], batch_size=batch_size)
    return lambda: fast(images)


if __name__ == "__main__":
    main()
