"""Values as they are read, and as a spreadsheet has them."""

import pytest

from vertebra.studies.reading import Column, Table, csv_columns, csv_rows, written
from vertebra.studies.statistics import Interval

THREE, ONE = Interval(0.45517, 0.00999, 3), Interval(0.5, None, 1)
TABLE = Table(
    "Figures",
    (Column("row"), Column("top-1", "share"), Column("gain", "points"), Column("time", "ratio")),
    (
        ("plain", THREE, None, 1.0),
        ("more", ONE, Interval(0.0448, 0.02, 3), 3.889),
        ("broken", "failed", None, None),
    ),
)


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (THREE, "share", "45.52% ± 1.00"),
        (ONE, "share", "50.00%"),
        (0.834, "share", "83.40%"),
        (Interval(0.0448, 0.02, 3), "points", "+4.48 ± 2.00"),
        (-0.003, "points", "-0.30"),
        (1.826, "ratio", "1.83"),
        (Interval(1.826, 0.111, 3), "ratio", "1.83 ± 0.11"),
        (0.00012345, "number", "0.0001234"),
        (12345678.0, "number", "12.35 M"),
        (Interval(12.3456, 0.0123, 3), "number", "12.35 ± 0.0123"),
        (75.0, "seconds", "1 min 15 s"),
        (2048.0, "memory", "2.00 GB"),
        ("failed", "share", "failed"),
        ("width", "text", "width"),
        (None, "points", "-"),
    ],
)
def test_a_value_is_written_in_the_style_of_its_column(value, style, text):
    assert written(value, style) == text


def test_a_table_is_read_row_by_row():
    assert TABLE.texts() == [
        ["plain", "45.52% ± 1.00", "-", "1.00"],
        ["more", "50.00%", "+4.48 ± 2.00", "3.89"],
        ["broken", "failed", "-", "-"],
    ]
    assert [column.is_number for column in TABLE.columns] == [False, True, True, True]


def test_a_spreadsheet_has_intervals_in_two_columns_and_nothing_rounded():
    assert csv_columns(TABLE) == ["row", "top-1", "top-1 ±", "gain", "gain ±", "time"]
    assert csv_rows(TABLE) == [
        ["plain", 0.45517, 0.00999, "", "", 1.0],
        ["more", 0.5, "", 0.0448, 0.02, 3.889],
        ["broken", "failed", "", "", "", ""],
    ]
    for row in csv_rows(TABLE):
        assert len(row) == len(csv_columns(TABLE))


def test_a_table_without_rows_has_its_heads():
    empty = TABLE._replace(rows=())
    assert csv_columns(empty) == ["row", "top-1", "gain", "time"]
    assert csv_rows(empty) == empty.texts() == []
