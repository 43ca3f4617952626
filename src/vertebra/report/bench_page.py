"""The page of a measurement: accuracy or time against cost, every figure, how to repeat it."""

from collections.abc import Mapping, Sequence

from vertebra.records import Json
from vertebra.report import pareto
from vertebra.report import quantities as say
from vertebra.report.document import document
from vertebra.report.markup import Content, Html, element, plot, section, table, tree
from vertebra.report.measured import QUANTITIES, Measured, column, known

_COSTS = (
    "latency_ms",
    "image_ms",
    "macs",
    "activations",
    "parameters",
    "inference_memory_mb",
    "training_memory_mb",
)
_COLUMNS = [name for name in QUANTITIES if name != "image_ms"]


def bench_page(
    measured: Sequence[Measured],
    *,
    device: str,
    facts: Mapping[str, str],
    command: str,
    machine: Json,
) -> str:
    """Returns the HTML of a whole page.

    facts:   how it was measured, by name: precision, date, ...
    command: what repeats it.
    machine: versions and device.
    """
    figures = _figures(measured)
    count = say.number_of(len(measured), "measurement")
    body = element(
        "main",
        element("header", element("h1", count, element("span", f" on {device}"))),
        element("dl.facts", *(_fact(name, text) for name, text in facts.items())),
        _plot(measured, figures),
        _table(measured),
        _failures(measured),
        _sources(measured),
        section("Commands", element("div.commands", element("pre", command))),
        section("Machine", tree(machine)),
    )
    return document(f"{count} on {device}", body, figures=figures)


def _figures(measured: Sequence[Measured]) -> dict[str, Json]:
    """Returns a figure for each cost that is known: accuracies where there are any, else times."""
    rated = [each for each in measured if each.top1 is not None]
    if rated:
        return {name: pareto.against_cost(rated, name) for name in known(rated, _COSTS)}
    costs = known(measured, [name for name in _COSTS if not name.endswith("_ms")])
    timed = known(measured, ["latency_ms"])
    return {name: pareto.time_against(measured, name) for name in costs if timed}


def _plot(measured: Sequence[Measured], figures: Mapping[str, Json]) -> Html:
    if not figures:
        return Html()
    has_accuracy = any(each.top1 is not None for each in measured)
    title = "Accuracy against cost" if has_accuracy else "Latency against cost"
    options = [
        element("option", QUANTITIES[name].title, attributes={"value": name}) for name in figures
    ]
    menu = element("select", *options, attributes={"data-draws": "cost"})
    said = (
        "The line is the front: nothing measured is as accurate and costs less. "
        "Accuracies are the papers', costs were measured here."
        if has_accuracy
        else "No accuracy is known of these models; --published adds the papers'."
    )
    label = element("label.menu", "cost ", menu)
    return section(title, label, plot("cost"), element("p.muted", said))


def _table(measured: Sequence[Measured]) -> Html:
    names = known(measured, _COLUMNS)
    has_accuracy = any(each.top1 is not None for each in measured)
    heads = ["model", "px", *(["top-1, %"] if has_accuracy else [])]
    quantities = {name: column(name, measured) for name in names}
    heads += [each.label for each in quantities.values()]
    rows: list[list[Content]] = []
    for each in measured:
        row = [each.name, str(each.image_size)]
        if has_accuracy:
            row.append(say.NOTHING if each.top1 is None else f"{100 * each.top1:.2f}")
        rows.append([*row, *(as_.said(each.figure(name)) for name, as_ in quantities.items())])
    whole = table(heads, rows, numbers=len(heads) - 1)
    hint = "A click on a head sorts. MACs are multiply-adds; memory is in MB of 1024 x 1024."
    return section(
        "All figures",
        element("div", whole, attributes={"data-sortable": "", "class": "wide"}),
        element("p.muted", hint),
    )


def _failures(measured: Sequence[Measured]) -> Html:
    rows = [(_name(each), each.failure) for each in measured if each.failure]
    if not rows:
        return Html()
    return section("Not measured to the end", table(["model", "failed at"], rows))


def _sources(measured: Sequence[Measured]) -> Html:
    rows = [
        (_name(each), say.percent(each.top1), each.source or say.NOTHING)
        for each in measured
        if each.top1 is not None
    ]
    if not rows:
        return Html()
    shown = table(["model", "top-1", "published in"], rows)
    summary = element("summary", f"{say.number_of(len(rows), 'figure')}, each with its source")
    return section("Published accuracies", element("details", summary, shown))


def _name(each: Measured) -> str:
    return f"{each.name} at {each.image_size} px"


def _fact(name: str, text: str) -> Html:
    return element("div", element("dt", name), element("dd", text))
