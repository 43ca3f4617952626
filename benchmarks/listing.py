"""Seconds and peak memory of listing a folder of many files, in a process of its own.

Makes the folder of empty files, in class folders of a thousand, and takes it away again.

    uv run python benchmarks/listing.py --classes 1000
"""

import argparse
import multiprocessing as mp
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

FILES = 1000
"""In each class folder."""


class Cost(NamedTuple):
    """before, after: the largest resident set in MB so far, before the listing and after it."""

    seconds: float
    before: float
    after: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--classes", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.classes):
            inner = Path(folder, f"class{number:04d}")
            inner.mkdir()
            for each in range(FILES):
                (inner / f"image_{each:06d}.jpg").touch()
        with mp.get_context("spawn").Pool(1) as pool:
            cost = pool.apply(listed, (folder,))
    print(
        f"{given.classes * FILES:,} files: {cost.seconds:.1f} s, peak {cost.after:.0f} MB, "
        f"of which {cost.before:.0f} MB were there before"
    )


def listed(folder: str) -> Cost:
    from vertebra.data.sources import open_source

    before, began = peak_mb(), time.perf_counter()
    source = open_source(folder)
    seconds = time.perf_counter() - began
    assert len(source.splits["train"])
    return Cost(seconds, before, peak_mb())


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
