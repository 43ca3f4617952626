"""HTML as values: plain text is escaped always, so names of files and classes are harmless."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TypeAlias

from vertebra.records import Json
from vertebra.report.quantities import NOTHING, plain


class Html(str):
    """Text that is HTML already; every other `str` gets escaped."""

    __slots__ = ()


Content: TypeAlias = str | Html
"""What an element holds: text, or HTML made by `element`."""

_WITHOUT_END = ("img", "input", "link", "meta")


def element(name: str, *content: Content, attributes: Mapping[str, str] | None = None) -> Html:
    """Returns `<name>content</name>`; "p.note" is a `p` of class `note`."""
    tag, _, style = name.partition(".")
    named = ({"class": style.replace(".", " ")} if style else {}) | dict(attributes or {})
    written = "".join(f' {key}="{escape(plain(value))}"' for key, value in named.items())
    end = "" if tag in _WITHOUT_END else f"</{tag}>"
    return Html(f"<{tag}{written}>{join(content)}{end}")


def join(content: Iterable[Content]) -> Html:
    """Returns pieces one after the other."""
    return Html(
        "".join(piece if isinstance(piece, Html) else escape(plain(piece)) for piece in content)
    )


def section(title: str, *content: Content) -> Html:
    """Returns a titled part of the page."""
    return element("section", element("h2", title), *content)


def plot(name: str) -> Html:
    """Returns the place where the page's script draws the figure of this name."""
    return element("div.plot", attributes={"id": f"plot-{name}"})


def table(
    columns: Sequence[Content], rows: Iterable[Sequence[Content]], *, numbers: int = 0
) -> Html:
    """Returns a table that scrolls by itself; the last `numbers` columns are right-aligned."""
    first_number = len(columns) - numbers
    head = element("tr", *(_cell("th", name, i >= first_number) for i, name in enumerate(columns)))
    body = [
        element("tr", *(_cell("td", value, i >= first_number) for i, value in enumerate(row)))
        for row in rows
    ]
    whole = element("table", element("thead", head), element("tbody", *body))
    return element("div.scroll", whole)


def tree(value: Json) -> Html:
    """Returns nested JSON as foldable lists, a row for each value."""
    pairs = _pairs(value)
    if pairs is None:
        return element("code", _scalar(value))
    return element("div.tree", *(_branch(str(key), item) for key, item in pairs))


def _branch(key: str, value: Json) -> Html:
    if _pairs(value) is None:
        return element("div.leaf", element("span.key", key), element("code", _scalar(value)))
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if isinstance(kind, str):
        value = {name: item for name, item in value.items() if name != "kind"}
        key = join([key, " ", element("span.key", kind)])
    return element("details", element("summary", key), tree(value), attributes={"open": ""})


def _pairs(value: Json) -> list[tuple[object, Json]] | None:
    """Returns what a branch holds; None for a leaf: a scalar, a list of them, or nothing."""
    if isinstance(value, Mapping) and value:
        return list(value.items())
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return list(enumerate(value))
    return None


def _scalar(value: Json) -> str:
    if value is None or value in ({}, []):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_scalar(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(tag: str, content: Content, is_number: bool) -> Html:
    return element(f"{tag}.number" if is_number else tag, content)
