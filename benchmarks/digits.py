"""The default run, `vertebra train`, over seeds: accuracy on the held-out third and seconds.

Prints first what two classic classifiers of scikit-learn reach on the same third.

uv run python benchmarks/digits.py --seeds 3
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from vertebra.data.digits import open_digits
from vertebra.records import RunDirectory, read_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    classics()
    accuracies: list[float] = []
    seconds: list[float] = []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            began = time.perf_counter()
            command = ["train", "--seed", str(seed), "--out", str(out)]
            subprocess.run(
                [sys.executable, "-m", "vertebra", *command], check=True, stdout=subprocess.DEVNULL
            )
            total = time.perf_counter() - began
            record = read_record(RunDirectory(out))
        accuracies.append(record.figures["top1"])
        seconds.append(record.train_seconds)
        print(
            f"seed {seed}: {record.figures['top1']:.2%} after {record.train_seconds:.1f} s of "
            f"training, {total:.1f} s in all",
            flush=True,
        )
    print(
        f"{os.cpu_count()} cores, {given.seeds} seeds: mean {mean(accuracies):.2%}, lowest "
        f"{min(accuracies):.2%}; training median {median(seconds):.1f} s, "
        f"longest {max(seconds):.1f} s"
    )


def classics() -> None:
    """Prints the accuracy of 3 nearest neighbours and of an SVM on the raw 8x8 pixels."""
    splits = open_digits().splits
    pixels = {
        name: np.stack([np.asarray(split.open(i, 1)).ravel() for i in range(len(split))])
        for name, split in splits.items()
    }
    for classifier in (KNeighborsClassifier(3), SVC(gamma="scale")):
        classifier.fit(pixels["train"], splits["train"].labels)
        accuracy = classifier.score(pixels["test"], splits["test"].labels)
        print(f"{classifier}: {accuracy:.2%}", flush=True)


if __name__ == "__main__":
    main()
