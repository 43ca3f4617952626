"""Images a second from files to normalised training batches, one core, against torchvision's usual
transforms on Pillow's pictures.

Both decode, take a random part resized (bicubic), mirror half of them and normalise; ours again
from the pictures that a survey has kept decoded. Ours decodes with the extra `jpeg` where it is
there. In turn (A B C A B C ...); a ratio is of one
round.

    uv run python benchmarks/reading_images.py FOLDER --image-size 224
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import InterpolationMode

from records import note
from vertebra.bench.latency import Spread
from vertebra.data.augment import Augment
from vertebra.data.images import Split
from vertebra.data.loader import TrainBatches
from vertebra.data.preprocess import Preprocess
from vertebra.data.sources import open_source
from vertebra.data.survey import survey


class Usual(Dataset[tuple[Tensor, int]]):
    """The pictures of a split as torchvision's folder data set with its usual transforms."""

    def __init__(self, split: Split, preprocess: Preprocess) -> None:
        self.split = split
        self.change = v2.Compose([
            v2.RandomResizedCrop(preprocess.image_size, interpolation=InterpolationMode.BICUBIC),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(preprocess.mean, preprocess.std),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.open(BytesIO(self.split.content(index))).convert("RGB")
        return self.change(picture), int(self.split.labels[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("data")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=8, help="of a round, for each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", type=Path, help="append what is found to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    preprocess = Preprocess(image_size=given.image_size)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["VERTEBRA_CACHE"] = cache
        source = open_source(given.data)
        files = survey(source, channels=3, keeps=False).usable.splits["train"]
        decoded = survey(source, channels=3).usable.splits["train"]
        forms: dict[str, Callable[[int], int]] = {
            "torchvision": lambda seed: usual(files, preprocess, given, seed),
            "vertebra": lambda seed: ours(files, preprocess, given, seed),
            "vertebra, decoded": lambda seed: ours(decoded, preprocess, given, seed),
        }
        rates: dict[str, list[float]] = {name: [] for name in forms}
        for number in range(given.rounds + 1):
            for name, form in forms.items():
                began = time.perf_counter()
                count = form(number)
                if number:  # the first one warms up
                    rates[name].append(count / (time.perf_counter() - began))
    print(f"{len(files)} images of {given.data}, {given.image_size} px, {given.rounds} rounds")
    for name, found in rates.items():
        pairs = zip(found, rates["torchvision"], strict=True)
        ratio, rate = Spread.of([a / b for a, b in pairs]), Spread.of(found)
        print(
            f"{name:<18} {rate.p50:7.0f} images/s, {ratio.p50:.2f} times "
            f"({ratio.p25:.2f} to {ratio.p75:.2f})"
        )
        if name != "torchvision":
            note(
                given.record,
                ratio,
                work=f"files to batches at {given.image_size} px, one core",
                against="torchvision's usual transforms",
                name=name,
                rounds=given.rounds,
            )


def usual(split: Split, preprocess: Preprocess, given: argparse.Namespace, seed: int) -> int:
    order = torch.Generator().manual_seed(seed)
    count = given.batches * given.batch_size
    drawn = torch.randint(len(split), (count,), generator=order).tolist()
    loader = DataLoader(Usual(split, preprocess), batch_size=given.batch_size, sampler=drawn)
    return sum(len(images) for images, _ in loader)


def ours(split: Split, preprocess: Preprocess, given: argparse.Namespace, seed: int) -> int:
    batches = TrainBatches(
        split,
        preprocess=preprocess,
        augment=Augment(),
        batch_size=given.batch_size,
        seed=seed,
        steps=given.batches,
    )
    return sum(len(batch.images) for batch in batches)


if __name__ == "__main__":
    main()
