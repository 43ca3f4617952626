"""RUN/report.html: one file that shows a run, opens from a disk, and loads nothing."""

import json
from importlib.resources import files
from pathlib import Path

from plotly.offline import get_plotlyjs

from vertebra.errors import DeviceError
from vertebra.records import Json, RunDirectory
from vertebra.report import answers, sections
from vertebra.report.curves import curves
from vertebra.report.findings import Findings, read_findings
from vertebra.report.heatmap import heatmap
from vertebra.report.markup import Html, element, join

# a second lock on the door: even markup that slipped through the escaping may load and send nothing
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


def write_report(directory: RunDirectory) -> Path:
    """Returns the path of the report, made of the run's files; unfinished runs show what there is.

    Raises:
        CheckpointError: the path holds no run, or its recipe is broken.
        DeviceError: the page cannot be written; an older one stays.
    """
    text = page(read_findings(directory))
    new = directory.report.with_suffix(".new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(directory.report)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise DeviceError(
            f"cannot write {directory.report}: {error.strerror}; free some space, "
            f"then `vertebra report {directory.path}`"
        ) from error
    return directory.report


def page(findings: Findings) -> str:
    """Returns the HTML of the whole page."""
    panels = curves(findings)
    figures: dict[str, Json] = {name: panel.figure for name, panel in panels.items()}
    if findings.evaluation is not None and findings.evaluation.classes:
        figures["confusion"] = heatmap(findings.evaluation)
    body = element(
        "main",
        sections.header(findings),
        sections.summary(findings),
        sections.training(findings, panels),
        answers.classes(findings),
        answers.mistakes(findings),
        sections.data(findings),
        sections.commands(findings),
        sections.recipe(findings),
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            element("head", *_head(f"{findings.model} on {findings.data}")),
            element("body", body, _scripts(figures)),
            "</html>\n",
        ]
    )


def _head(title: str) -> list[Html]:
    return [
        element("meta", attributes={"charset": "utf-8"}),
        element("meta", attributes={"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element(
            "meta",
            attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"},
        ),
        element("link", attributes={"rel": "icon", "href": "data:,"}),
        element("title", title),
        element("style", _part("style.css")),
    ]


def _scripts(figures: dict[str, Json]) -> Html:
    """Returns the figures as data, plotly, and the page's own script."""
    data = json.dumps(figures, allow_nan=False, separators=(",", ":"))
    # inside a script nothing is unescaped by HTML, so "<" is written in JSON's own way
    safe = Html(data.replace("<", "\\u003c"))
    return join(
        [
            element("script", safe, attributes={"type": "application/json", "id": "figures"}),
            element("script", Html(get_plotlyjs())),
            element("script", _part("page.js")),
        ]
    )


def _part(name: str) -> Html:
    return Html(files("vertebra.report").joinpath(name).read_text(encoding="utf-8"))
