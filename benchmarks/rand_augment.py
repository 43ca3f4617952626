"""Images a second through RandAugment (2 operations, magnitude 9), one core: ours in both
conventions, torchvision's on pictures and on tensors, timm's.

All start from the same pictures and end in uint8 tensors. In turn (A B C ... A B C ...); a ratio is
of one round, over the fastest of the peers in that round.

    uv run python benchmarks/rand_augment.py FOLDER
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torch import Tensor
from torchvision.transforms import v2

from records import note
from vertebra.bench.latency import Spread
from vertebra.data.pixels import pixels_of
from vertebra.data.preprocess import pack
from vertebra.data.randaugment import RandAugment
from vertebra.data.sources import open_source

COUNT, MAGNITUDE = 2, 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("data")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=128, help="of a round, for each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", type=Path, help="append what is found to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    split = open_source(given.data).splits["train"]
    size = (given.image_size, given.image_size)
    pictures = [
        split.open(place % len(split), 3).resize(size, Image.Resampling.BICUBIC)
        for place in range(given.images)
    ]
    peers, ours = theirs(), forms()
    rates: dict[str, list[float]] = {name: [] for name in peers | ours}
    for number in range(given.rounds + 1):
        for name, form in (peers | ours).items():
            began = time.perf_counter()
            for picture in pictures:
                form(picture)
            if number:  # the first one warms up
                rates[name].append(len(pictures) / (time.perf_counter() - began))
    best = [max(each) for each in zip(*(rates[name] for name in peers), strict=True)]
    print(f"{given.images} images of {given.data}, {given.image_size} px, {given.rounds} rounds")
    for name, found in rates.items():
        ratio = Spread.of([a / b for a, b in zip(found, best, strict=True)])
        print(
            f"{name:<22} {Spread.of(found).p50:7.0f} images/s, {ratio.p50:.2f} times the fastest "
            f"peer ({ratio.p25:.2f} to {ratio.p75:.2f})"
        )
        if name in ours:
            note(
                given.record,
                ratio,
                work=f"RandAugment({COUNT}, {MAGNITUDE}) at {given.image_size} px, one core",
                against="the fastest of torchvision's two forms and timm's",
                name=name,
                rounds=given.rounds,
            )


def theirs() -> dict[str, Callable[[Image.Image], Tensor]]:
    usual = v2.RandAugment(COUNT, MAGNITUDE)
    # torchvision's magnitude 9 of 30; timm's of 10
    timms = rand_augment_transform(f"rand-m{MAGNITUDE}-n{COUNT}", {})
    return {
        "torchvision, pictures": lambda picture: v2.functional.pil_to_tensor(usual(picture)),
        "torchvision, tensors": lambda picture: usual(v2.functional.pil_to_tensor(picture)),
        "timm": lambda picture: v2.functional.pil_to_tensor(timms(picture)),
    }


def forms() -> dict[str, Callable[[Image.Image], Tensor]]:
    def form(pool: str) -> Callable[[Image.Image], Tensor]:
        spec = RandAugment(pool=pool, count=COUNT, magnitude=MAGNITUDE)
        return lambda picture: pack([pixels_of(spec.sample(picture))])[0]

    return {"vertebra, tf": form("tf"), "vertebra, torchvision": form("torchvision")}


if __name__ == "__main__":
    main()
