"""How long a person waits: for help, for an error, and from `vertebra train` to its first update.

uv run python benchmarks/start_up.py --rounds 5
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

POLL_S = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    claims: dict[str, Callable[[], float]] = {
        "vertebra --help": lambda: whole("--help"),
        "vertebra train --help": lambda: whole("train", "--help"),
        "vertebra train MISSING": lambda: whole("train", "no/such/folder"),
        "vertebra train, to the first update": first_update,
    }
    for name, measure in claims.items():
        measure()  # fills the disk cache
        seconds = [measure() for _ in range(given.rounds)]
        print(
            f"{name:<38} median {median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}"
        )


def whole(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "vertebra", *arguments], capture_output=True, check=False)
    return time.perf_counter() - began


def first_update() -> float:
    """Returns the seconds until the log holds a step event; then ends the run."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "run" / "metrics.jsonl"
        command = [sys.executable, "-m", "vertebra", "train", "--out", str(log.parent)]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (log.is_file() and log.stat().st_size):
            if process.poll() is not None:
                sys.exit(f"{' '.join(command)} ended with {process.returncode} before an update")
            time.sleep(POLL_S)
        seconds = time.perf_counter() - began
        process.terminate()
        process.wait()
        return seconds


if __name__ == "__main__":
    main()
