"""The page of some records: accuracy against a cost that a menu chooses, fronts, every figure."""

from collections.abc import Mapping, Sequence

from vertebra.records import Json
from vertebra.report import pareto
from vertebra.report.document import document
from vertebra.report.markup import Html, element, plot, section
from vertebra.report.measured import QUANTITIES
from vertebra.report.quantities import number_of
from vertebra.studies.page import findings_section, table_section
from vertebra.studies.pareto import Fronts, conditions_of
from vertebra.studies.reading import Reading


def pareto_page(found: Fronts, reading: Reading, *, title: str, command: str) -> str:
    """Returns the HTML of a whole page.

    command: what makes it again.
    """
    figures = {
        cost: pareto.against_cost(
            [each.measured for each in drawn], cost, accuracy="top-1 accuracy"
        )
        for cost, drawn in found.drawn.items()
    }
    fronts, records = reading.tables
    sortable = element("div", table_section(records), attributes={"data-sortable": ""})
    body = element(
        "main",
        element("header", element("h1", title)),
        _facts(found),
        _plot(figures),
        findings_section(reading.findings),
        table_section(fronts),
        sortable,
        section("Command", element("div.commands", element("pre", command))),
    )
    return document(title, body, figures=figures)


def _facts(found: Fronts) -> Html:
    data = dict.fromkeys(each.conditions.get("top1", "") for each in found.points)
    facts = {"records": number_of(len(found.points), "point"), "accuracy of": ", ".join(data)}
    facts |= {QUANTITIES[cost].title: said for cost, said in conditions_of(found).items()}
    return element(
        "dl.facts",
        *(element("div", element("dt", name), element("dd", text)) for name, text in facts.items()),
    )


def _plot(figures: Mapping[str, Json]) -> Html:
    if not figures:
        return Html()
    options: Sequence[Html] = [
        element("option", QUANTITIES[name].title, attributes={"value": name}) for name in figures
    ]
    menu = element("select", *options, attributes={"data-draws": "cost"})
    said = (
        "The line is the front: no record is as accurate and costs less. What is dominated is "
        "pale. Whiskers are 95% intervals over runs of several seeds."
    )
    label = element("label.menu", "cost ", menu)
    return section("Accuracy against cost", label, plot("cost"), element("p.muted", said))
