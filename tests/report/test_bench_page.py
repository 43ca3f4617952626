"""The page and the tables of a measurement."""

import io

import pytest
from rich.console import Console
from tests.report.measured import FACTS, drawn
from tests.report.reader import Page

from vertebra.report.bench_page import bench_page
from vertebra.report.bench_table import bench_tables

RATED = [
    drawn("resnet50", latency_ms=10, top1=0.788),
    drawn("resnetrs50", latency_ms=6, top1=0.8, image_size=160, family="ResNet-RS"),
]
BROKEN = drawn("huge", latency_ms=None, failure="inference of 1: out of memory")


@pytest.fixture(autouse=True)
def short_plotly(monkeypatch):
    monkeypatch.setattr("vertebra.report.document.get_plotlyjs", lambda: "/* plotly */")


@pytest.fixture
def read(tmp_path):
    """Returns a function that makes the page of some measurements, and reads it."""

    def read(measured) -> Page:
        path = tmp_path / "bench.html"
        path.write_text(
            bench_page(
                measured,
                device="cpu: x86_64",
                facts=FACTS,
                command="vertebra bench resnet50 --published --report b.html",
                machine={"torch": "2.15.0", "platform": "Linux"},
            )
        )
        return Page(path)

    return read


def options(page: Page) -> list[str | None]:
    return [attrs["value"] for tag, attrs in page.tags if tag == "option"]


def has_plot(page: Page) -> bool:
    return any(attrs.get("id") == "plot-cost" for _, attrs in page.tags)


def test_the_page_shows_every_figure_and_how_it_came_about(read):
    text = read([*RATED, BROKEN]).text()
    for shown in (
        "3 measurements on cpu: x86_64",
        "precision fp32 threads 2 measured 2026-11-22 13:21 UTC",
        "Accuracy against cost",
        "resnetrs50 160 80.00 6 6 0.6 333.3 8 25.56 4.089 4.087 0 2.048 0 11.11 140.2 1,536",
        "huge at 224 px inference of 1: out of memory",
        "resnet50 at 224 px 78.80% A paper (2021)",
        "vertebra bench resnet50 --published --report b.html",
        "platform Linux",
    ):
        assert shown in text, shown


def test_the_menu_switches_between_the_costs_that_are_known(read):
    found = read(RATED)
    assert options(found) == list(found.figures())
    assert options(found)[0] == "latency_ms" and "training_memory_mb" in options(found)
    assert has_plot(found)
    untimed = [drawn("a", latency_ms=None, top1=0.7)]
    assert "latency_ms" not in options(read(untimed))


def test_without_accuracies_latency_is_drawn_and_no_column_is_empty(read):
    found = read([drawn("resnet50"), drawn("resnet18", latency_ms=4)])
    assert "Latency against cost" in found.text() and "--published adds" in found.text()
    assert "top-1" not in found.text() and "Published accuracies" not in found.text()
    assert options(found) == ["macs", "activations", "parameters", "inference_memory_mb",
                             "training_memory_mb"]  # fmt: skip


def test_a_page_of_failures_alone_has_no_plot(read):
    found = read([BROKEN])
    assert found.figures() == {} and not has_plot(found)
    assert "Not measured to the end" in found.text()


def test_a_name_cannot_leave_its_cell():
    html = bench_page(
        [drawn("</script><b>", top1=0.7)], device="<i>", facts={}, command="<u>", machine={}
    )
    for tag in ("<b>&", "<i>", "<u>", "</script><b>"):
        assert tag not in html.partition("<script")[0]
    assert "\\u003c" in html and "&lt;u&gt;" in html


def tables(measured, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, soft_wrap=True)
    console.print(bench_tables(measured, facts=FACTS))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_tables_fit_100_columns_with_the_longest_published_name():
    lines = tables([*RATED, drawn("timm/deit_small_distilled_patch16_224"), BROKEN])
    assert max(map(len, lines)) <= 100


def test_the_tables_say_what_was_measured():
    lines = tables([*RATED, BROKEN])
    text = "\n".join(lines)
    assert "model         px   parameters      MACs   activations   memory   training" in text
    assert "resnet50     224      25.56 M   4.089 G       11.11 M   140 MB    1.50 GB" in text
    assert "resnetrs50         160       4.087 G           0   2.048 M        0" in text
    assert "resnetrs50               160        6        6     0.6      333.3       8" in text
    assert "precision fp32; threads 2; measured 2026-11-22 13:21 UTC" in lines
    assert lines[-1] == "huge at 224 px failed at inference of 1: out of memory"
