"""A page in one file: opens from a disk, draws its plots, loads nothing and sends nothing; or it is
a server's, and asks that one alone."""

import json
from collections.abc import Mapping
from importlib.resources import files

from plotly.offline import get_plotlyjs

from vertebra.records import Json
from vertebra.report.markup import Html, element, join

# a second lock on the door: even markup that slipped through the escaping may load and send nothing
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
_ASKING = f"{_POLICY}; connect-src 'self'"


def document(title: str, body: Html, *, figures: Mapping[str, Json]) -> str:
    """Returns the HTML of a whole page; `figures` are drawn where `plot` of the same name stands.

    figures: in plotly's JSON, with colours as "var(--blue)".
    """
    return _whole(_head(title, _POLICY), body, _scripts(figures))


def asking_document(title: str, body: Html, *, style: str, script: str) -> str:
    """Returns the HTML of a page without plots that may ask the server which it came from.

    style, script: names of files beside this one, for what it has of its own.
    """
    head = [*_head(title, _ASKING), element("style", _part(style))]
    return _whole(head, body, element("script", _part(script)))


def _whole(head: list[Html], body: Html, scripts: Html) -> str:
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            element("head", *head),
            element("body", body, scripts),
            "</html>\n",
        ]
    )


def _head(title: str, policy: str) -> list[Html]:
    return [
        element("meta", attributes={"charset": "utf-8"}),
        element("meta", attributes={"http-equiv": "Content-Security-Policy", "content": policy}),
        element(
            "meta",
            attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"},
        ),
        element("link", attributes={"rel": "icon", "href": "data:,"}),
        element("title", title),
        element("style", _part("style.css")),
    ]


def _scripts(figures: Mapping[str, Json]) -> Html:
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
