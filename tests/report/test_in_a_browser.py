"""Every kind of page in Chromium, offline, on a desk and on a phone.

Skipped where Chromium or playwright is missing: `uv run --with playwright pytest tests/report` has
the latter.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.report.drawn import DrawRun
from tests.report.measured import FACTS, drawn
from tests.studies.made import RECIPE, record

from vertebra.recipes.vary import vary
from vertebra.records import write_record
from vertebra.report.bench_page import bench_page
from vertebra.report.page import write_report
from vertebra.report.serving_page import serving_page
from vertebra.studies.pareto import fronts, read_fronts
from vertebra.studies.pareto_page import pareto_page
from vertebra.studies.place import StudyDirectory
from vertebra.studies.point import Point
from vertebra.studies.study import Cell, Study
from vertebra.studies.write import write_reports

PHONE_PX, DESK_PX = 390, 1280

RATED = (
    drawn("resnet50", top1=0.788),
    drawn("resnetrs50", top1=0.8, latency_ms=6.0, image_size=160),
    drawn("ghostnet_100", top1=0.74, latency_ms=1.0, family="GhostNet"),
)


@pytest.fixture(scope="module")
def chromium():
    """A browser that reaches no network."""
    api = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["run", "bench", "study", "fronts"])
def page(request: pytest.FixtureRequest, tmp_path: Path, draw_run: DrawRun) -> Path:
    """A page of each kind."""
    path = tmp_path / "page.html"
    if request.param == "run":
        return write_report(draw_run())
    if request.param == "study":
        return study_page(tmp_path / "study")
    text = bench_text() if request.param == "bench" else fronts_text()
    path.write_text(text, encoding="utf-8")
    return path


def study_page(path: Path) -> Path:
    place = StudyDirectory(path)
    cells = tuple(
        Cell(name=name, recipe=vary(RECIPE, {"dropout": rate}), place={"role": "step", "part": ""})
        for name, rate in (("plain", 0.0), ("+ dropout", 0.1))
    )
    study = Study(kind="ablate", question="Does it help?", cells=cells, seeds=(0, 1))
    place.open(study)
    for name, rates in (("plain", (0.5, 0.52)), ("dropout", (0.6, 0.62))):
        for seed, top1 in enumerate(rates):
            run = place.run(f"{name}-{seed}")
            run.path.mkdir(parents=True)
            write_record(run, record(top1))
    write_reports(place)
    return place.report


def bench_text() -> str:
    return bench_page(RATED, device="cpu", facts=FACTS, command="vertebra bench", machine={})


def fronts_text() -> str:
    found = fronts([Point(measured=each, conditions={"top1": "photos"}) for each in RATED])
    return pareto_page(found, read_fronts(found), title="Which?", command="vertebra study pareto")


@pytest.mark.parametrize("width", [DESK_PX, PHONE_PX])
def test_it_draws_its_plots_offline_fits_and_has_nothing_to_complain_of(chromium, page, width):
    with opened(chromium, page, width) as (seen, complaints):
        plots = seen.locator("[id^=plot-]")
        assert plots.count() > 0
        for place in range(plots.count()):
            assert plots.nth(place).locator(".main-svg").count() > 0
        assert seen.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert complaints == []


@pytest.mark.parametrize("page", ["bench", "fronts"], indirect=True)
def test_the_menu_of_costs_draws_each(chromium, page):
    with opened(chromium, page, DESK_PX) as (seen, complaints):
        menu = seen.locator("select[data-draws]")
        titles = []
        for cost in menu.locator("option").evaluate_all("all => all.map(one => one.value)"):
            menu.select_option(cost)
            seen.wait_for_timeout(100)
            titles.append(seen.locator(".xtitle").first.text_content())
            assert seen.locator(".scatterlayer .point").count() >= len(RATED)
        assert len(set(titles)) == len(titles) > 1 and complaints == []


@pytest.mark.parametrize("width", [DESK_PX, PHONE_PX])
def test_the_page_of_a_server_shows_the_classes_of_images_that_it_is_given(chromium, width):
    pytest.importorskip("fastapi")
    from tests.export.asking import Brightness, asked, grey

    page = serving_page("brightness", Brightness.classes, facts={"input": "1 x 1 x 1 px"})
    with asked(Brightness(), page=page) as server:
        context = chromium.new_context(viewport={"width": width, "height": 844})
        seen, asked_for = context.new_page(), []
        seen.on("request", lambda request: asked_for.append(request.url))
        seen.goto(server.address)
        given = [("<b>.png", grey(204)), ("dark.png", grey(0)), ("text.png", b"text")]
        seen.set_input_files(
            "#files",
            [{"name": name, "mimeType": "image/png", "buffer": each} for name, each in given],
        )
        seen.wait_for_selector("figure:nth-child(3) .fault")
        seen.wait_for_selector("figure:nth-child(2) .bar")
        first = seen.locator("figure:nth-child(1)")
        assert first.locator("code").text_content() == "<b>.png"
        assert first.locator(".bar").all_text_contents() == ["light80.0%", "dark20.0%"]
        told = seen.locator(".fault").text_content()
        assert told.startswith("it is no readable image: no known image format begins with")
        assert f"image=@FILE {server.address}/predict" in seen.locator("pre").first.text_content()
        assert seen.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert all(url.startswith((server.address, "blob:", "data:")) for url in asked_for)
        context.close()


@contextmanager
def opened(chromium, path: Path, width: int) -> Iterator:
    """Yields the page once it is drawn, and what the browser complains of."""
    context = chromium.new_context(viewport={"width": width, "height": 844}, offline=True)
    seen, complaints = context.new_page(), []
    seen.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    seen.on("pageerror", lambda error: complaints.append(str(error)))
    seen.goto(path.as_uri())
    seen.wait_for_selector(".main-svg")
    yield seen, complaints
    context.close()
