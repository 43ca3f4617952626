"""What a study leaves beside its runs: table.csv, table.md and report.html."""

import csv
import io
import shlex

from vertebra.records import write_text
from vertebra.report import quantities as say
from vertebra.studies.kinds import read
from vertebra.studies.page import study_page
from vertebra.studies.place import StudyDirectory
from vertebra.studies.reading import Reading, Table, csv_columns, csv_rows
from vertebra.studies.results import Results, read_results


def write_reports(place: StudyDirectory) -> tuple[Results, Reading]:
    """Writes them anew; returns what was read.

    Raises:
        CheckpointError: there is no study, or a record in it is broken.
        DeviceError: no space, or no right to write.
    """
    results = read_results(place)
    reading = read(results)
    write_text(place.table, as_csv(reading))
    write_text(place.markdown, as_markdown(results, reading))
    write_text(place.report, study_page(results, reading, place))
    return results, reading


def as_csv(reading: Reading) -> str:
    """Returns the tables one below the other, unrounded, each with its title over it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for place, table in enumerate(reading.tables):
        if place:
            writer.writerow([])
        if len(reading.tables) > 1:
            writer.writerow([table.title])
        writer.writerow(csv_columns(table))
        writer.writerows(csv_rows(table))
    return text.getvalue()


def as_markdown(results: Results, reading: Reading) -> str:
    """Returns question, findings, tables and the command."""
    study = results.study
    parts = markdown_parts(study.question, reading)
    failures = [
        f"- {row.cell.name}, seed {run.seed}: {run.state}, {run.reason}"
        for row, run in results.unfinished
    ]
    if failures:
        parts.append("## Runs without a figure\n\n" + "\n".join(failures))
    count = say.number_of(len(study.seeds), "seed")
    parts.append(f"{count}. Made by\n\n    {study.command or shlex.join(['vertebra', 'study'])}")
    return "\n\n".join(parts) + "\n"


def markdown_parts(title: str, reading: Reading) -> list[str]:
    """Returns the title, the findings and the tables, to stand with a blank line between them."""
    parts = [f"# {title}"]
    if reading.findings:
        parts.append("\n".join(f"- {finding}" for finding in reading.findings))
    for table in reading.tables:
        parts.append(f"## {table.title}\n\n{_markdown(table)}")
        if table.note:
            parts.append(table.note)
    return parts


def _markdown(table: Table) -> str:
    heads = [_cell(column.head) for column in table.columns]
    rules = ["---:" if column.is_number else "---" for column in table.columns]
    rows = [[_cell(text) for text in row] for row in table.texts()]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rules, *rows))


def _cell(text: str) -> str:
    return say.plain(text).replace("|", "\\|")
