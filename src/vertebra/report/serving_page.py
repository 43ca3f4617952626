"""The page of a server: one drops images, and sees their classes."""

from collections.abc import Sequence

from vertebra.report import quantities as say
from vertebra.report.document import asking_document
from vertebra.report.markup import Html, element, join, section

_COMMANDS = {
    "A file": "curl -F image=@FILE ADDRESS",
    "Several": "curl -F image=@FILE -F image=@FILE 'ADDRESS?top=3'",
    "From Python": "requests.post('ADDRESS', files={'image': open('FILE', 'rb')}).json()",
}
"""The page's script puts in the address that it came from."""


def serving_page(network: str, classes: Sequence[str], *, facts: dict[str, str]) -> str:
    """Returns the HTML of the page; `facts` are names and what they are, in a few words."""
    body = element("main", _header(network, classes), _drop(), _facts(facts), _commands())
    return asking_document(network, body, style="serving.css", script="serving.js")


def _header(network: str, classes: Sequence[str]) -> Html:
    known = element("p.muted.known", ", ".join(classes))
    counted = element("summary", f"knows {say.count(len(classes))} classes")
    return element("header", element("h1", network), element("details", counted, known))


def _drop() -> Html:
    """Returns the field for images, and the list that the page's script fills."""
    several = {"type": "file", "multiple": "", "accept": "image/*", "id": "files"}
    field = element(
        "label.drop",
        element("input", attributes=several),
        element("b", "Choose images"),
        element("span", "or drop or paste them here"),
    )
    answers = {"id": "answers", "aria-live": "polite"}
    return join([field, element("div.answers", attributes=answers)])


def _facts(facts: dict[str, str]) -> Html:
    pairs = (
        element("div", element("dt", name), element("dd", value)) for name, value in facts.items()
    )
    return element("dl.facts", *pairs)


def _commands() -> Html:
    blocks = (
        element("div", element("span.muted", title), element("pre", command))
        for title, command in _COMMANDS.items()
    )
    more = element("p.muted", "Also here: /model, /health and, for programs, /openapi.json.")
    return section("From a program", element("div.commands", *blocks), more)
