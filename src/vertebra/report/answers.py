"""The parts of the page that show how the answers turned out: by class, by pair, by picture."""

import re

from vertebra.report import quantities as say
from vertebra.report.classes import ClassFigures, most_confused, per_class
from vertebra.report.evaluation import Evaluation, Mistake
from vertebra.report.findings import Findings
from vertebra.report.heatmap import shown_classes
from vertebra.report.markup import Content, Html, element, join, plot, section, table

_PICTURE = re.compile(r"data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/=]+")


def classes(findings: Findings) -> Html:
    """Returns the confusion matrix and the table of classes, worst first."""
    evaluation = findings.evaluation
    if evaluation is None or not evaluation.classes:
        return Html()
    shown = len(shown_classes(evaluation.confusion))
    caption = (
        "Blue is right, orange is wrong; the stronger, the larger its share of the true class."
    )
    if shown < len(evaluation.classes):
        caption += f" Shown are the {shown} classes with the most mistakes."
    width = min(46, 16 + 2 * shown)
    room = {"style": f"flex-basis: {width}rem; max-width: {width}rem"}
    return join(
        [
            section(
                "Confusion matrix",
                element("p.muted", caption),
                element(
                    "div.beside",
                    element("div.matrix", plot("confusion"), attributes=room),
                    _confused(evaluation),
                ),
            ),
            section("Classes", _class_table(evaluation)),
        ]
    )


def mistakes(findings: Findings) -> Html:
    """Returns the most confident mistakes as pictures."""
    evaluation = findings.evaluation
    if evaluation is None or not evaluation.mistakes:
        return Html()
    return section(
        "Most confident mistakes",
        element("div.mistakes", *(_mistake(mistake) for mistake in evaluation.mistakes)),
    )


def _confused(evaluation: Evaluation) -> Html:
    pairs = most_confused(evaluation.confusion, evaluation.classes, keep=8)
    if not pairs or len(evaluation.classes) < 3:
        return Html()
    rows = [
        [pair.target, pair.predicted, say.count(pair.images), say.percent(pair.share, 1)]
        for pair in pairs
    ]
    columns = ["true", "taken for", "images", "of the class"]
    return element("div", element("h3", "Most often confused"), table(columns, rows, numbers=2))


def _class_table(evaluation: Evaluation) -> Html:
    figures = per_class(evaluation.confusion, evaluation.classes)
    figures.sort(key=lambda each: (each.f1 is None, each.f1 or 0.0))
    rows = [_class_row(each) for each in figures]
    columns = ["class", "images", "precision", "recall", "F1"]
    return element(
        "div", table(columns, rows, numbers=4), attributes={"data-sortable": "", "class": "tall"}
    )


def _class_row(each: ClassFigures) -> list[Content]:
    shares = (each.precision, each.recall, each.f1)
    return [each.name, say.count(each.images), *(say.percent(share, 1) for share in shares)]


def _mistake(mistake: Mistake) -> Html:
    is_safe = _PICTURE.fullmatch(mistake.picture) is not None
    source = {"src": mistake.picture, "alt": f"{mistake.target} taken for {mistake.predicted}"}
    picture = element("img", attributes=source) if is_safe else element("div.missing", "no picture")
    caption = element(
        "figcaption",
        element("b", mistake.predicted),
        f" {say.percent(mistake.confidence, 1)}",
        element("span", f"is {mistake.target}"),
        element("code", mistake.name),
    )
    return element("figure", picture, caption)
