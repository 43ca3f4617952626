"""What a study takes beyond its runs: the same runs by `vertebra study` and by `vertebra train`.

Makes the runs of a small ablation on digits by hand, one `vertebra train` after another, and then
as a study, in turn; prints the ratio of the times in each round, their median and spread.

    uv run python benchmarks/study_overhead.py
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

STEPS = ("method.loss.smoothing=0.1", "optimizer.weight_decay=5e-4", "dropout=0.1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        plain, changed = recipes(place, given.epochs)
        for number in range(given.rounds):
            study = timed(
                "study",
                "ablate",
                plain,
                changed,
                "--seeds",
                given.seeds,
                "--out",
                place / f"{number}",
            )
            made = sorted((place / f"{number}" / "recipes").iterdir())
            by_hand = sum(
                timed("train", "--recipe", each, "--out", place / f"{number}-{each.stem}")
                for each in made
            )
            ratios.append(study / by_hand)
            print(f"{len(made)} runs: study {study:.1f} s, by hand {by_hand:.1f} s", flush=True)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"study / by hand: median {median(ratios):.3f}, {spread} in {given.rounds} rounds")


def recipes(place: Path, epochs: float) -> tuple[Path, Path]:
    """Returns the files of a recipe and of the same with each step made."""
    plain, changed = place / "plain.json", place / "changed.json"
    length = ("--epochs", epochs)
    settings = [word for each in STEPS for word in ("--set", each)]
    timed("plan", "digits", *length, "--set", "method.loss.smoothing=0", "--save", plain)
    timed("plan", "digits", *length, *settings, "--save", changed)
    return plain, changed


def timed(*words: object) -> float:
    """Returns the seconds that a command took."""
    began = time.perf_counter()
    line = [sys.executable, "-m", "vertebra", *map(str, words)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
