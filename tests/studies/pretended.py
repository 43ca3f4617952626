"""A program in place of `vertebra` that only pretends to train, and studies for it.

What it does stands where a recipe names its images: "finishes", "fails", "waits" until it is told
to stop, "dies", or "scores 0.5 to 30" per cent of its length and then waits, or finishes at 100.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.studies.made import RECIPE

from vertebra.recipes.vary import vary
from vertebra.studies.place import StudyDirectory
from vertebra.studies.study import Cell, Study

TEXT = """
import json, os, signal, sys, time
from pathlib import Path

verb, *words = sys.argv[1:]
run = Path(words[-1])
recipe = Path(words[1]) if verb == "train" else run / "recipe.json"
told = json.loads(recipe.read_text())["phases"][0]["data"]["source"].split()
run.mkdir(parents=True, exist_ok=True)
if verb == "train":
    (run / "recipe.json").write_text(recipe.read_text())
with (run / "verbs.txt").open("a") as verbs:
    print(verb, os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES"),
          file=verbs)

def stop(number, frame):
    (run / "saved").touch()
    sys.exit(75)

def wait():
    signal.signal(signal.SIGTERM, stop)
    (run / "waits").touch()
    time.sleep(60)

def finish():
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "record.json").write_text("{}")

if told[0] == "finishes":
    finish()
elif told[0] == "fails":
    sys.exit("looking for images\\nerror: there are no images; give a folder that has some")
elif told[0] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
elif told[0] == "waits":
    wait()
elif told[0] == "scores":
    figure, percent = float(told[1]), int(told[3])
    with (run / "metrics.jsonl").open("a") as log:
        for epoch in range(1, percent // 10 + 1):
            event = {"event": "evaluate", "step": epoch, "epoch": epoch, "split": "minival"}
            print(json.dumps({**event, "figures": {"top1": figure}}), file=log)
    finish() if percent == 100 else wait()
"""


def pretend(folder: Path) -> list[str]:
    """Returns the command line of the program, written into a folder."""
    path = folder / "pretended_vertebra.py"
    path.write_text(TEXT)
    return [sys.executable, "-S", str(path)]


def study(*told: str, seeds: int = 1, threads: int | None = None) -> Study:
    """Returns a study with a row, named after it, for each thing that the program is told."""
    cells = [Cell(name=each, recipe=vary(RECIPE, {"data.source": each})) for each in told]
    return Study(
        kind="ablate",
        question="Does it run?",
        cells=tuple(cells),
        seeds=tuple(range(seeds)),
        threads=threads,
    )


def ends(place: StudyDirectory) -> dict[str, str]:
    """Returns the state of each run that has no record, by name."""
    names = [path.stem for path in sorted((place.path / "ends").glob("*.json"))]
    return {name: place.why_not(name)["state"] for name in names}


def until(is_so: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
