"""LeViT-192 against EfficientNet-B2 on one CPU thread at batch 16: the paper's "5x at 80 %".

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), section 5.

Ours is fused; timm's EfficientNet-B2 at 260 px has each batch norm folded into its convolution, and
is compared with itself before that. Both are traced, in fp32. They run in turn (A B A B ...), and
what counts is the median of the ratios of a round. Weights are random, which costs no time.

    uv run python benchmarks/levit_against_efficientnet.py

The paper has 65.0 and 13.16 images/s on a Xeon Gold 6138, 10 s of warm-up and 60 s timed each; its
EfficientNet has its norms dropped, which is as fast as folded. `--seconds 60 --warm-up 10` repeats
that in each round.
"""

import argparse
import json
import platform
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vertebra.models.classifier import build_classifier
from vertebra.models.levit import NAMED

PAPER = {"levit_192": 65.0, "efficientnet_b2": 13.16, "ratio": 4.94}
LEVIT_SIZE, EFFICIENTNET_SIZE = 224, 260


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20, help="timed, of each net in a round")
    parser.add_argument("--warm-up", type=float, default=5, help="seconds, before the first round")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        levit = torch.randn(given.batch_size, 3, LEVIT_SIZE, LEVIT_SIZE)
        efficient = torch.randn(given.batch_size, 3, EFFICIENTNET_SIZE, EFFICIENTNET_SIZE)
        nets = {"levit_192": (levit_192(levit), levit)}
        nets["efficientnet_b2"] = (efficientnet_b2(efficient), efficient)
        for net, images in nets.values():
            images_per_s(net, images, seconds=given.warm_up)
        rounds: list[dict[str, float]] = []
        for number in range(given.rounds):
            rounds.append(
                {name: images_per_s(*each, seconds=given.seconds) for name, each in nets.items()}
            )
            print(f"round {number + 1}: {rounded(rounds[-1])} images/s", flush=True)
    print(json.dumps(summary(rounds, given.batch_size)))


def levit_192(images: Tensor) -> Any:
    """Returns ours, fused and traced."""
    return traced(build_classifier(NAMED["levit_192"], classes=1000).fused(), images)


def efficientnet_b2(images: Tensor) -> Any:
    """Returns timm's, folded and traced.

    Raises:
        RuntimeError: folding changed its logits.
    """
    net = timm.create_model("efficientnet_b2").eval()
    for norm in (part for part in net.modules() if isinstance(part, nn.BatchNorm2d)):
        nn.init.normal_(norm.get_buffer("running_mean"), std=0.1)
        nn.init.uniform_(norm.get_buffer("running_var"), 0.5, 1.5)
    before = net(images[:1])
    folded = fold(net, images[:1])
    if (net(images[:1]) - before).abs().max() > 1e-3 * before.std():
        raise RuntimeError(f"folding {folded} norms changed the logits")
    return traced(net, images)


def fold(net: nn.Module, images: Tensor) -> int:
    """Folds each norm into the convolution before it, in place; returns how many there were.

    A norm belongs to the convolution whose output it takes. Its activation stays in its place.
    """
    makers: dict[int, nn.Conv2d] = {}
    kept: list[Tensor] = []  # or another tensor could get the address of one that is gone
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def watch(part: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        if isinstance(part, nn.Conv2d):
            kept.append(given)
            makers[id(given)] = part
        elif isinstance(part, nn.BatchNorm2d):
            pairs.append((makers[id(taken[0])], part))

    hooks = [part.register_forward_hook(watch) for part in net.modules()]
    net(images)
    for hook in hooks:
        hook.remove()
    names = {part: name for name, part in net.named_modules()}
    for conv, norm in pairs:
        net.set_submodule(names[conv], fuse_conv_bn_eval(conv, norm))
        net.set_submodule(names[norm], getattr(norm, "act", nn.Identity()))
    return len(pairs)


def traced(net: nn.Module, images: Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes are as those of `images` from here on
        return torch.jit.trace(net, images)


def images_per_s(net: Any, images: Tensor, *, seconds: float) -> float:
    """Returns images a second over whole batches, for at least `seconds`."""
    start, batches = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds or not batches:
        net(images)
        batches += 1
    return batches * len(images) / spent


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}


def summary(rounds: list[dict[str, float]], batch_size: int) -> dict[str, object]:
    ratios = [each["levit_192"] / each["efficientnet_b2"] for each in rounds]
    return {
        "batch_size": batch_size,
        "threads": torch.get_num_threads(),
        "machine": processor(),
        "torch": torch.__version__,
        "images_per_s": {name: round(median(r[name] for r in rounds), 2) for name in rounds[0]},
        "ratio": {
            "median": round(median(ratios), 3),
            "lowest": round(min(ratios), 3),
            "highest": round(max(ratios), 3),
            "all": [round(each, 3) for each in ratios],
        },
        "paper": PAPER,
    }


def processor() -> str:
    """Returns the name of the CPU."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
