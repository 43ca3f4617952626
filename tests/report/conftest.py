"""The fixture of a drawn run."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.report.drawn import (
    DIGITS,
    RECIPE,
    DrawRun,
    draw_evaluation,
    draw_events,
    draw_record,
)

from vertebra.records import RunDirectory, write_json


@pytest.fixture
def draw_run(tmp_path: Path) -> DrawRun:
    """Returns a function that draws a run; `finished=False` leaves what a killed run leaves."""

    def draw(*, classes: Sequence[str] = DIGITS, finished: bool = True) -> RunDirectory:
        directory = RunDirectory(tmp_path / "runs" / "digits 1")
        write_json(directory.recipe, RECIPE)
        write_json(directory.classes, list(classes))
        draw_events(directory.metrics)
        if finished:
            draw_record(directory, draw_evaluation(directory.evaluation, classes))
        return directory

    return draw
