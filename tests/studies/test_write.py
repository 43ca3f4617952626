"""What a study leaves beside its runs: a spreadsheet, Markdown, and a page that loads nothing."""

import csv
import io
from dataclasses import replace

import pytest
from tests.report.reader import Page
from tests.studies.made import RECIPE, record

from vertebra.errors import CheckpointError
from vertebra.recipes.vary import vary
from vertebra.records import write_json, write_record
from vertebra.studies.place import StudyDirectory
from vertebra.studies.study import Cell, Study
from vertebra.studies.write import write_reports

EVIL = '<script>alert("1")</script> | a pipe'
NAMES = ("plain", "+ help", EVIL)
FOUND = {"plain": (0.5, 0.52), "help": (0.6, 0.62)}


@pytest.fixture(autouse=True)
def short_plotly(monkeypatch):
    """Puts a line in place of plotly's five megabytes, for speed."""
    monkeypatch.setattr("vertebra.report.document.get_plotlyjs", lambda: "/* plotly */")


def study(**changes):
    """Returns a study of three rows, of which the last has a name that does harm if it can."""
    recipes = [vary(RECIPE, {"dropout": rate}) for rate in (0.0, 0.1, 0.2)]
    cells = [
        Cell(name=name, recipe=recipe, place={"role": "step", "part": ""}, published=0.79)
        for name, recipe in zip(NAMES, recipes, strict=True)
    ]
    made = Study(
        kind="ablate",
        question="Does <b>it</b> help?",
        cells=tuple(cells),
        seeds=(0, 1),
        source="A Paper (2021), table 1",
        command="vertebra study ablate a b --data 'my photos'",
        facts={"note": "Left out: fish."},
    )
    return replace(made, **changes)


@pytest.fixture
def place(tmp_path):
    """A study of which the last row has failed once and not run once."""
    place = StudyDirectory(tmp_path / "my study")
    place.open(study())
    for name, values in FOUND.items():
        for seed, top1 in enumerate(values):
            run = place.run(f"{name}-{seed}")
            run.path.mkdir(parents=True)
            write_record(run, record(top1))
    failed = f"{'script-alert-1-script-a-pipe'}-0"
    write_json(place.end(failed), {"state": "failed", "reason": "no <i>memory</i>"})
    return place


def test_the_spreadsheet_is_unrounded(place):
    write_reports(place)
    rows = list(csv.reader(io.StringIO(place.table.read_text(encoding="utf-8"))))
    assert rows[0] == [
        *("step", "top-1", "top-1 ±", "gain", "gain ±", "time", "memory", "paper", "paper's gain"),
    ]
    assert [row[0] for row in rows[1:]] == list(NAMES)
    assert float(rows[2][1]) == pytest.approx(0.61) and float(rows[2][3]) == pytest.approx(0.1)
    assert float(rows[2][2]) == pytest.approx(0.12706, abs=1e-5)
    assert rows[3][1:4] == ["failed", "", ""]


def test_markdown_has_question_findings_table_note_failures_and_command(place):
    write_reports(place)
    text = place.markdown.read_text(encoding="utf-8")
    assert text.startswith("# Does <b>it</b> help?\n")
    assert "| plain | 51.00% ± 12.71 | - | 1.00 | 1.00 | 79.00% | - |" in text
    assert '| <script>alert("1")</script> \\| a pipe | failed |' in text
    assert "The paper's figures: A Paper (2021), table 1. Left out: fish." in text
    assert f"- {EVIL}, seed 0: failed, no <i>memory</i>" in text
    assert f"- {EVIL}, seed 1: missing, not run yet" in text
    assert "    vertebra study ablate a b --data 'my photos'\n" in text
    rows = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1


def test_the_page_shows_all_of_it(place):
    write_reports(place)
    page = Page(place.report)
    text = page.text()
    for shown in (
        "Does <b>it</b> help?",
        "runs 4 of 6",
        "seeds 0, 1",
        "published figures A Paper (2021), table 1",
        "device a machine",
        "With fewer than 3 seeds no step can be told from chance.",
        "+ help 61.00% ± 12.71 +10.00 ± 0.00",
        "dropout 0 -> 0.1",
        "no <i>memory</i>",
        "vertebra study ablate a b --data 'my photos'",
        "recipes/plain-0.json'",
        "Left out: fish.",
    ):
        assert shown in text, shown
    assert set(page.figures()) == {"study-0"}
    assert {"plot-study-0"} <= {attrs.get("id") for _, attrs in page.tags}


def test_names_that_are_markup_stay_text(place):
    write_reports(place)
    page = Page(place.report)
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "figures"}, {}, {}]
    assert not any(tag in ("b", "i") for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert page.text().count(EVIL) >= 3
    label = page.figures()["study-0"]["layout"]["yaxis"]["ticktext"][2]
    assert "<script" not in label and "&lt;script" in label


def test_the_whole_page_loads_nothing(place, monkeypatch):
    monkeypatch.undo()
    write_reports(place)
    page = Page(place.report)
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert (attrs.get(name) or "data:").startswith("data:"), (tag, attrs)
    policies = [attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none'")
    styles = "".join(text for tag, text in page.texts if tag == "style")
    assert "url(" not in styles and "@import" not in styles


def test_a_study_of_which_nothing_has_run_has_its_reports(tmp_path):
    place = StudyDirectory(tmp_path)
    place.open(study(cells=study().cells[:1], source="", facts={}))
    results, reading = write_reports(place)
    assert len(results.unfinished) == 2 and reading.findings == ()
    page = Page(place.report)
    assert page.figures() == {} and "runs 0 of 2" in page.text()
    assert "missing" in place.markdown.read_text(encoding="utf-8")
    assert "published" not in page.text()


def test_several_tables_in_a_spreadsheet_have_their_titles(place):
    cells = [*study().cells]
    cells[2] = replace(cells[2], place={"role": "all but one", "part": ""})
    place.open(study(cells=tuple(cells)))
    write_reports(place)
    rows = list(csv.reader(io.StringIO(place.table.read_text(encoding="utf-8"))))
    assert rows[0] == ["Step by step"]
    assert rows[rows.index([]) + 1] == ["All steps but one"]


def test_reports_are_written_anew_and_never_half(place):
    write_reports(place)
    before = {path.name for path in place.path.iterdir()}
    write_reports(place)
    assert {path.name for path in place.path.iterdir()} == before
    assert {"table.csv", "table.md", "report.html"} <= before


def test_a_folder_without_a_study_has_no_report(tmp_path):
    with pytest.raises(CheckpointError, match="is no study"):
        write_reports(StudyDirectory(tmp_path))
    assert list(tmp_path.iterdir()) == []
