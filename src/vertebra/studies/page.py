"""STUDY/report.html: one file that shows a study to someone who was not there."""

import shlex
from collections.abc import Sequence

from vertebra.report import quantities as say
from vertebra.report.document import document
from vertebra.report.markup import Content, Html, element, join, plot, section, table, tree
from vertebra.studies.against import changed_rows
from vertebra.studies.place import StudyDirectory
from vertebra.studies.reading import Figure, Reading, Table
from vertebra.studies.results import Results, Row


def study_page(results: Results, reading: Reading, place: StudyDirectory) -> str:
    """Returns the HTML of a whole page."""
    study = results.study
    figures = {f"study-{number}": each.plot for number, each in enumerate(reading.figures)}
    body = element(
        "main",
        element("header", element("h1", study.question)),
        _facts(results),
        findings_section(reading.findings),
        *(_figure(name, each) for name, each in zip(figures, reading.figures, strict=True)),
        *(table_section(each) for each in reading.tables),
        _differences(results),
        _unfinished(results),
        _commands(results, place),
        _environment(results),
    )
    return document(study.question, body, figures=figures)


def _facts(results: Results) -> Html:
    runs = [run for row in results.rows for run in row.runs]
    names = {run.name for run in runs if run.record is not None}
    wanted = {run.name for run in runs}
    records = {run.name: run.record for run in runs if run.record is not None}.values()
    facts = {
        "runs": f"{len(names)} of {len(wanted)}",
        "seeds": ", ".join(map(str, results.study.seeds)),
        "time in training": say.duration(sum(record.train_seconds for record in records)),
    }
    if results.study.source:
        facts["published figures"] = results.study.source
    for record in records:
        facts["device"] = str(record.environment.get("device", say.NOTHING))
        facts["date"] = say.moment(record.started)
        break
    return element(
        "dl.facts",
        *(element("div", element("dt", name), element("dd", text)) for name, text in facts.items()),
    )


def findings_section(findings: Sequence[str]) -> Html:
    """Returns what was found, a paragraph each; nothing for no findings."""
    if not findings:
        return Html()
    return section("What came out", *(element("p", finding) for finding in findings))


def _figure(name: str, figure: Figure) -> Html:
    note = element("p.muted", figure.note) if figure.note else Html()
    return section(figure.title, plot(name), note)


def table_section(shown: Table) -> Html:
    """Returns a table under its title, with its note."""
    heads = [column.head for column in shown.columns]
    numbers = sum(column.is_number for column in shown.columns)
    whole = element("div.wide", table(heads, shown.texts(), numbers=numbers))
    note = element("p.muted", shown.note) if shown.note else Html()
    return section(shown.title, whole, note)


def _differences(results: Results) -> Html:
    rows: list[list[Content]] = [
        [row.name, row.against, join(element("div", element("code", each)) for each in row.changes)]
        for row in changed_rows(results.study)
    ]
    if not rows:
        return Html()
    return section("What each row changes", table(["row", "against", "changes"], rows))


def _unfinished(results: Results) -> Html:
    rows = [
        [row.cell.name, str(run.seed), run.state, run.reason] for row, run in results.unfinished
    ]
    if not rows:
        return Html()
    return section("Runs without a figure", table(["row", "seed", "state", "reason"], rows))


def _commands(results: Results, place: StudyDirectory) -> Html:
    study = results.study
    again = element("div", "the whole study", element("pre", study.command))
    rows = element(
        "details",
        element("summary", "each row by itself"),
        *(_command(row, place) for row in results.rows),
    )
    return section("Commands", element("div.commands", again), element("div.commands", rows))


def _command(row: Row, place: StudyDirectory) -> Html:
    recipe = place.path / "recipes" / f"{row.runs[0].name}.json"
    line = shlex.join(["vertebra", "train", "--recipe", str(recipe)])
    return element("div", row.cell.name, element("pre", line))


def _environment(results: Results) -> Html:
    for row in results.rows:
        for record in row.records.values():
            return section("Environment of the first run", tree(record.environment))
    return Html()
