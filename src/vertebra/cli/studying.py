"""What every study does: shows its rows, makes its runs, writes and shows what came out."""

import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from vertebra.cli.study_flags import ExecutorFlags, StudyFlags
from vertebra.cli.study_view import StudyProgress
from vertebra.recipes.recipe import Recipe
from vertebra.report import quantities as say
from vertebra.report.terminal import names_table, next_commands, open_console
from vertebra.studies.against import changed_rows
from vertebra.studies.conduct import conduct
from vertebra.studies.place import StudyDirectory
from vertebra.studies.reading import Reading
from vertebra.studies.results import Results
from vertebra.studies.study import Study
from vertebra.studies.write import write_reports


def answer(study: Study, flags: StudyFlags) -> int:
    """Makes the study in the folder that is asked for; returns the exit code."""
    study.check()
    if flags.dry_run:
        show_rows(study)
        return 0
    source = study.cells[0].recipe.phases[-1].data.source
    place = StudyDirectory(flags.out) if flags.out else StudyDirectory.next(study.kind, source)
    return go_on(study, place, flags, is_new=True)


def go_on(
    study: Study, place: StudyDirectory, flags: ExecutorFlags, *, is_new: bool = False
) -> int:
    """Makes what is missing of a study, and shows what came out; returns the exit code."""
    executor = flags.executor(study, place)
    if is_new:
        place.open(study)
    try:
        with StudyProgress(place) as view:
            conduct(
                study,
                place,
                executor,
                view=view,
                again=flags.again,
                keeps_weights=flags.keep_weights,
            )
    finally:
        results, reading = write_reports(place)
    show_reading(results, reading, place)
    return 0


def show_rows(study: Study) -> None:
    """Prints the rows and what each changes."""
    rows = [(study.cells[0].name, "", "")]
    rows += [(row.name, row.against, "; ".join(row.changes)) for row in changed_rows(study)]
    console = open_console()
    console.print(Text(say.plain(study.question)))
    console.print(names_table(("row", "against", "changes"), rows))
    seeds = say.number_of(len(study.seeds), "seed")
    console.print(Text(f"{len(rows)} rows x {seeds} = {len(rows) * len(study.seeds)} runs"))


def show_reading(results: Results, reading: Reading, place: StudyDirectory) -> None:
    """Prints what came out, and where the page is."""
    console = open_console()
    show_tables(results.study.question, reading, console)
    for row, run in results.unfinished:
        said = f"{row.cell.name}, seed {run.seed}: {run.state}, {run.reason}"
        console.print(Text(say.plain(said), style="yellow"))
    console.print(Text(f"page: {place.report}"))
    if any(run.state == "failed" for _, run in results.unfinished):
        again = f"vertebra study resume {shlex.quote(str(place.path))} --retry"
        console.print(next_commands(again))


def show_tables(title: str, reading: Reading, console: Console) -> None:
    """Prints the title, the tables and the findings."""
    console.print()
    console.print(Text(say.plain(title), style="bold"))
    for table in reading.tables:
        numbers = sum(column.is_number for column in table.columns)
        heads = [column.head for column in table.columns]
        console.print()
        if len(reading.tables) > 1:
            console.print(Text(table.title, style="bold"))
        console.print(names_table(heads, table.texts(), numbers=numbers))
        if table.note:
            console.print(Text(table.note, style="dim"))
    console.print()
    for finding in reading.findings:
        console.print(Text(f"- {say.plain(finding)}"))


def data_name(recipe: Recipe) -> str:
    """Returns what the recipe's images are called: "digits", or the name of a folder or file."""
    return Path(recipe.phases[-1].data.source).name


def typed() -> str:
    """Returns the command line, to be typed again."""
    return shlex.join(["vertebra", *sys.argv[1:]])
