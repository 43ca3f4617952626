"""`vertebra study pareto`: what it writes, prints and refuses."""

import csv

import pytest
from tests.cli.conftest import vertebra
from tests.studies.kept import keep_run, keep_study


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """A line in place of plotly's five megabytes, and no long warm-up."""
    monkeypatch.setattr("vertebra.report.document.get_plotlyjs", lambda: "/* plotly */")
    monkeypatch.setattr("vertebra.bench.latency._WARM_UP_S", 0.0)


def test_runs_and_studies_become_a_page_a_table_and_sentences(elsewhere):
    keep_run(elsewhere / "runs" / "a", 0.75, macs=2_000_000)
    keep_study(elsewhere / "studies" / "s", {"base": [0.5, 0.6], "better": [0.8, 0.9]})
    said = vertebra("study", "pareto", "runs/a", "studies/s")
    assert (said.code, said.err) == (0, "")
    assert "Which of 3 records does nobody beat?" in said.out
    assert "By MACs 1 of 3 are on the front: better (85.00%)." in " ".join(said.out.split())
    assert "page: studies/pareto-1/report.html" in said.out
    place = elsewhere / "studies" / "pareto-1"
    rows = list(csv.DictReader((place / "table.csv").read_text().splitlines()))
    assert [row["record"] for row in rows] == ["a", "base", "better"]
    assert float(rows[1]["top-1"]) == pytest.approx(0.55)
    page = (place / "report.html").read_text()
    assert 'data-draws="cost"' in page and '<option value="macs">' in page
    assert "# Which of 3 records does nobody beat?" in (place / "table.md").read_text()
    assert vertebra("study", "pareto", "runs/a").code == 0
    assert (elsewhere / "studies" / "pareto-2" / "report.html").is_file()


def test_a_run_is_timed_when_that_is_asked_for(elsewhere, monkeypatch):
    monkeypatch.setattr(
        "vertebra.studies.points.costs_of.__kwdefaults__",
        {"measure": True, "budget_s": 0.01, "on_progress": None},
    )
    keep_run(elsewhere / "a")
    said = vertebra("study", "pareto", "a", "--measure", "--device=cpu", "--out=front")
    assert said.code == 0, said.err
    (row,) = csv.DictReader((elsewhere / "front" / "table.csv").read_text().splitlines())
    assert float(row["latency, ms"]) > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no record is named; write `vertebra study pareto runs/* studies/*`"),
        (["nowhere"], "nowhere is no run, no study and no result of `vertebra bench`"),
        (["a", "--out=a"], "a holds something else; choose another folder"),
        (["half"], "no record has an accuracy (half has not finished); give others"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_sentence(arguments, told, elsewhere):
    keep_run(elsewhere / "a")
    (keep_run(elsewhere / "half") / "record.json").unlink()
    code, out, err = vertebra("study", "pareto", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {told}") and err.count("\n") == 1
