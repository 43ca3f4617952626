"""The page of speeds is what its script makes of the records."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("page", ROOT / "benchmarks" / "page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("records", None)


def test_the_page_is_made_of_the_records(page: ModuleType):
    rows = page.read()
    assert rows
    assert page.PAGE.read_text() == page.page(rows)


def test_the_latest_record_counts_and_means_are_geometric(page: ModuleType, tmp_path: Path):
    from records import Row, read, write

    for name, times in (("a", 1.0), ("a", 2.0), ("b", 8.0), ("c", 4.0)):
        ratio = (times - 0.5, times, times + 0.5)
        row = Row(
            work="inference", against="a peer", name=name, ratio=ratio, rounds=3,
            date="2026-11-29", machine="a machine", command="a command", memory=1.0 + times / 100,
        )  # fmt: skip
        write(row, tmp_path / "rows.jsonl")
    rows = read(tmp_path)
    assert [row.ratio[1] for row in rows] == [2.0, 8.0, 4.0]
    made = page.page(rows)
    assert "| inference | a peer | 4.00, mean of 3 | 2.00, `a` | 1.08 |" in made
    assert "| inference | a peer | 8.00 | `b` | 1.08 |" in page.page(rows[1:2])
    assert "| `b` | 8.00 (7.50 to 8.50) | 1.08 |" in made
    assert made.count("`a command`: 2026-11-29, 3 rounds, a machine.") == 1
