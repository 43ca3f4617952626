"""Real runs, wherever they go."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.studies.made import RECIPE

from vertebra.duration import steps
from vertebra.recipes.vary import vary
from vertebra.studies.conduct import Executor, conduct
from vertebra.studies.executors.local import Local
from vertebra.studies.executors.ray import Ray
from vertebra.studies.place import StudyDirectory
from vertebra.studies.results import Results, read_results
from vertebra.studies.study import Cell, Study

pytestmark = pytest.mark.slow

TINY = vary(
    RECIPE,
    {
        "length": steps(6),
        "schedule.warmup": steps(1),
        "execution.device": "cpu",
        "execution.workers": 0,
        "data.preprocess.image_size": 16,
    },
)


def made(path: Path, executor: Executor, *cells: Cell, seeds: int) -> Results:
    asked = Study(kind="ablate", question="?", cells=cells, seeds=tuple(range(seeds)), threads=1)
    place = StudyDirectory(path)
    place.open(asked)
    conduct(asked, place, executor)
    return read_results(place)


def test_the_same_study_gives_the_same_table_wherever_it_runs(tmp_path):
    if find_spec("ray") is None:
        pytest.skip("Ray is an extra")
    cells = [
        Cell(name=name, recipe=vary(TINY, {"optimizer.lr": lr}))
        for name, lr in (("slow", 0.01), ("fast", 0.1))
    ]
    tables = []
    for number, executor in enumerate((Local(), Local(processes=2), Ray(workers=2))):
        found = made(tmp_path / str(number), executor, *cells, seeds=2)
        assert [run.reason for _, run in found.unfinished] == []
        rows = found.rows
        tables.append([(row.figures(), row.figures("loss"), row.selection()) for row in rows])
        slow, fast = tables[-1]
        assert len(slow[0]) == len(fast[0]) == 2
        assert slow[1] != fast[1]
    assert tables[0] == tables[1] == tables[2]


def test_a_run_whose_images_are_missing_leaves_the_sentence_of_the_error(tmp_path):
    nowhere = vary(TINY, {"data.source": str(tmp_path / "nowhere")})
    cells = (Cell(name="lost", recipe=nowhere), Cell(name="tiny", recipe=TINY))
    lost, tiny = made(tmp_path / "study", Local(), *cells, seeds=1).rows
    assert lost.runs[0].state == "failed"
    assert lost.runs[0].reason.startswith(f"{tmp_path / 'nowhere'} does not exist; ")
    assert set(tiny.records) == {0}
