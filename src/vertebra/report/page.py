"""RUN/report.html: one file that shows a run."""

from pathlib import Path

from vertebra.errors import DeviceError
from vertebra.records import Json, RunDirectory
from vertebra.report import answers, sections
from vertebra.report.curves import curves
from vertebra.report.document import document
from vertebra.report.findings import Findings, read_findings
from vertebra.report.heatmap import heatmap
from vertebra.report.markup import element


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
    return document(f"{findings.model} on {findings.data}", body, figures=figures)
