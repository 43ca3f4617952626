"""evaluation.json is read as it was written, and a broken one is named."""

from pathlib import Path

import pytest
from tests.report.drawn import DIGITS, draw_evaluation

from vertebra.errors import CheckpointError
from vertebra.records import read_json, write_json
from vertebra.report.evaluation import read_evaluation


def test_an_evaluation_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "evaluation.json"
    written = draw_evaluation(path, DIGITS)
    assert read_evaluation(path) == written


def test_classes_of_mistakes_may_be_numbers(tmp_path: Path):
    path = tmp_path / "evaluation.json"
    draw_evaluation(path, ["ant", "bee"])
    data = read_json(path)
    data["mistakes"][0] |= {"target": 1, "predicted": 0}
    write_json(path, data)
    mistake = read_evaluation(path).mistakes[0]
    assert (mistake.target, mistake.predicted) == ("bee", "ant")


@pytest.mark.parametrize(
    "change", [{"confusion": [[1]]}, {"n": "many"}, {"mistakes": [{"name": "x"}]}, {"figures": 3}]
)
def test_a_broken_evaluation_is_refused_with_its_path(tmp_path: Path, change: dict[str, object]):
    path = tmp_path / "evaluation.json"
    draw_evaluation(path, ["ant", "bee"])
    write_json(path, read_json(path) | change)
    with pytest.raises(CheckpointError, match=r"evaluation\.json is no evaluation"):
        read_evaluation(path)
