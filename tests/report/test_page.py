"""The page of a run: what it shows, what it escapes, and that it loads nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.report.drawn import DrawRun
from tests.report.reader import Page

from vertebra.errors import CheckpointError, DeviceError
from vertebra.records import RunDirectory, read_json, read_record, write_json
from vertebra.report.page import write_report


@pytest.fixture(autouse=True)
def short_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a line in place of plotly's five megabytes, for speed."""
    monkeypatch.setattr("vertebra.report.document.get_plotlyjs", lambda: "/* plotly */")


def test_the_page_shows_the_figures_of_the_record(draw_run: DrawRun):
    directory = draw_run()
    record = read_record(directory)
    text = Page(write_report(directory)).text()
    assert f"{100 * record.figures['top1']:.2f}% top-1 accuracy on the test split" in text
    assert "600 images; 95% interval 97.17% to 99.21%" in text
    for shown in (
        "resnetrs50 on digits",
        "Recipe digits, started 2026-11-22 13:21 UTC",
        "selection top-1 accuracy 98.75%",
        "chosen step 540 of 600",
        "parameters 2.115 M",
        "MACs 31.46 M",
        "training 1 min 11 s",
        "speed 904 images/s",
        "waiting for data 3.5%",
        "peak memory 512 MB",
        "seed 7",
        "device cpu",
        "train 1,201 1,199 2",
        "train/3/broken.jpg cut off after 512 bytes",
        "train/5/late.png unreadable while training",
        "label_smoothing 0.1",
        "revision a1b2c3d",
    ):
        assert shown in text, shown


def test_the_page_has_every_figure_and_every_mistake(draw_run: DrawRun):
    directory = draw_run()
    page = Page(write_report(directory))
    wanted = {"loss", "accuracy", "lr", "images_per_s", "data_wait", "memory_mb", "confusion"}
    assert set(page.figures()) == wanted
    assert {f"plot-{name}" for name in wanted} <= {attrs.get("id") for _, attrs in page.tags}
    pictures = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    written = read_json(directory.evaluation)["mistakes"]
    assert pictures == [mistake["picture"] for mistake in written]


def test_the_worst_class_comes_first(draw_run: DrawRun):
    text = Page(write_report(draw_run())).text()
    worst = re.search(r"Classes class images precision recall F1 (\S+)", text)
    assert worst is not None
    assert worst[1] == "3"


def test_the_commands_are_quoted_and_can_be_typed(draw_run: DrawRun):
    directory = draw_run()
    text = Page(write_report(directory)).text()
    assert f"vertebra train --recipe '{directory.recipe}'" in text
    assert f"vertebra evaluate '{directory.path}'" in text
    assert f"vertebra predict '{directory.path}' IMAGE" in text
    assert "vertebra resume" not in text


def test_the_whole_page_loads_nothing_and_holds_plotly_once(
    draw_run: DrawRun, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    page = Page(write_report(draw_run()))
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert (attrs.get(name) or "data:").startswith("data:"), (tag, attrs)
    bundles = [data for tag, data in page.texts if tag == "script" and "plotly.js v" in data[:50]]
    assert len(bundles) == 1 and len(bundles[0]) > 1_000_000
    styles = "".join(data for tag, data in page.texts if tag == "style")
    assert "url(" not in styles and "@import" not in styles
    policies = [a["content"] for _, a in page.tags if "http-equiv" in a]
    assert len(policies) == 1 and policies[0].startswith("default-src 'none'")


def test_hostile_names_stay_text(draw_run: DrawRun):
    evil = "<script>alert(1)</script>"
    directory = draw_run(classes=[evil, '" onload="alert(2)', "</script><img src=x>"])
    evaluation = read_json(directory.evaluation)
    evaluation["mistakes"][0] |= {"name": evil, "picture": "https://example.org/x.png"}
    evaluation["mistakes"][1] |= {"picture": 'data:image/png;base64,AA" onerror="alert(3)'}
    write_json(directory.evaluation, evaluation)
    page = Page(write_report(directory))
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "figures"},
        {},
        {},
    ]
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert len([1 for tag, _ in page.tags if tag == "img"]) == 10
    assert page.text().count(evil) > 3
    assert "train/<b>8</b>/notes.txt" in page.text()


def test_an_unfinished_run_shows_what_there_is_and_how_to_go_on(draw_run: DrawRun):
    directory = draw_run(finished=False)
    page = Page(write_report(directory))
    assert "the run did not finish; continue it with" in page.text()
    assert "steps so far 600" in page.text()
    assert f"vertebra resume '{directory.path}'" in page.text()
    assert "loss" in page.figures() and "confusion" not in page.figures()


@pytest.mark.parametrize("events", ["", None, '{"event": "step", "st'])
def test_a_run_without_events_says_so(draw_run: DrawRun, events: str | None):
    directory = draw_run(finished=False)
    directory.metrics.unlink() if events is None else directory.metrics.write_text(events)
    page = Page(write_report(directory))
    assert "No steps are logged yet" in page.text()
    assert page.figures() == {}


def test_a_finished_run_without_evaluation_still_has_its_headline(draw_run: DrawRun):
    directory = draw_run()
    directory.evaluation.unlink()
    text = Page(write_report(directory)).text()
    assert "on the test split, 600 images; 95% interval" in text
    assert "There is no evaluation.json" in text


def test_broken_side_files_are_named_on_the_page(draw_run: DrawRun):
    directory = draw_run()
    directory.evaluation.write_text("{}")
    directory.environment.write_text("no")
    text = Page(write_report(directory)).text()
    assert "evaluation.json is no evaluation" in text
    assert "environment.json cannot be read as JSON" in text
    assert "revision a1b2c3d" in text  # from the record


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="is no run directory"):
        write_report(RunDirectory(tmp_path))


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    draw_run: DrawRun, monkeypatch: pytest.MonkeyPatch
):
    directory = draw_run()
    directory.report.write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DeviceError, match="No space left on device"):
        write_report(directory)
    assert directory.report.read_text() == "old"
    assert not directory.report.with_suffix(".new").exists()


def test_many_classes_and_two_classes_make_a_page(draw_run: DrawRun):
    for count in (2, 120):
        page = Page(write_report(draw_run(classes=[f"class {i}" for i in range(count)])))
        assert len(page.figures()["confusion"]["data"][0]["z"]) == count


def test_the_report_never_imports_torch():
    modules = "page, terminal, progress"
    code = f"import sys; from vertebra.report import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_needs_no_rich():
    code = "import sys; from vertebra.report import page; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
