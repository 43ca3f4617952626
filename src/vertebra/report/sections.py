"""The parts of the page, each made from the findings; a part that has nothing to show is empty."""

import shlex
from collections.abc import Mapping, Sequence

from vertebra.records import RunRecord
from vertebra.report import quantities as say
from vertebra.report.curves import Panel
from vertebra.report.findings import Findings, number
from vertebra.report.markup import Html, element, join, plot, section, table, tree

_MOST_REFUSED = 500


def header(findings: Findings) -> Html:
    """Returns what ran, on what, and the figure to remember with its interval."""
    record = findings.record
    when = f", started {say.moment(record.started)}" if record else ""
    title = element("h1", findings.model, element("span", " on "), findings.data)
    line = element("p.muted", f"Recipe {findings.name}{when}")
    notes = [element("p.notice", problem) for problem in findings.problems]
    return element("header", title, line, *_headline(findings), *notes)


def summary(findings: Findings) -> Html:
    """Returns the grid of facts about the run."""
    record = findings.record
    facts = _event_facts(findings) if record is None else _record_facts(record)
    facts |= {"seed": findings.seed or say.NOTHING, "device": findings.device or say.NOTHING}
    cells = [element("div", element("dt", name), element("dd", facts[name])) for name in facts]
    return element("dl.facts", *cells)


def training(findings: Findings, panels: Mapping[str, Panel]) -> Html:
    """Returns the places of the curves."""
    if not panels:
        return section(
            "Training",
            element("p", "No steps are logged yet: metrics.jsonl is empty or not there."),
        )
    plots = [
        element("figure", element("h3", panel.title), plot(name)) for name, panel in panels.items()
    ]
    hint = (
        "The loss of training counts augmentation and label smoothing, "
        "that of an evaluation does not; faint lines are single steps."
    )
    resumed = findings.record.resumed_at if findings.record else ()
    if resumed:
        hint += f" Resumed at step {', '.join(say.count(step) for step in resumed)}."
    return section("Training", element("div.plots", *plots), element("p.muted", hint))


def data(findings: Findings) -> Html:
    """Returns what was found, used and refused in each split."""
    record = findings.record
    if record is None:
        refused = [
            (str(event.get("name")), str(event.get("reason")))
            for event in findings.of_kind("refuse")
        ]
        text = "The counts of files are written when the run ends."
        return section("Data", element("p", text), _refused("while training", refused))
    rows = [
        [split, *(say.count(part) for part in (it["found"], it["used"], len(it["refused"])))]
        for split, it in record.data.items()
    ]
    refusals = [
        _refused(f"in {split}", [(str(r["name"]), str(r["reason"])) for r in it["refused"]])
        for split, it in record.data.items()
    ]
    quarantined = [(name, "unreadable while training") for name in record.quarantined]
    return section(
        "Data",
        table(["split", "found", "used", "refused"], rows, numbers=3),
        *refusals,
        _refused("while training", quarantined),
    )


def recipe(findings: Findings) -> Html:
    """Returns the recipe and the environment as trees."""
    parts = [section("Recipe", tree(findings.recipe))]
    if findings.environment:
        parts.append(section("Environment", tree(findings.environment)))
    return join(parts)


def commands(findings: Findings) -> Html:
    """Returns the commands that repeat and use the run."""
    run = shlex.quote(str(findings.directory.path))
    stored = shlex.quote(str(findings.directory.recipe))
    lines = {f"vertebra train --recipe {stored}": "train the same again"}
    if findings.record is None:
        lines[f"vertebra resume {run}"] = "continue this run"
    if findings.evaluation is not None and not findings.evaluation.classes:
        lines[f"vertebra probe {run} DATA"] = "judge its features on images with classes"
        lines[f"vertebra train DATA --weights {run}"] = "go on from it on images with classes"
    else:
        lines[f"vertebra evaluate {run}"] = "evaluate the chosen checkpoint"
        lines[f"vertebra predict {run} IMAGE"] = "classify an image or a folder"
    rows = [
        element("div", element("span.muted", text), element("pre", command))
        for command, text in lines.items()
    ]
    return section("Commands", element("div.commands", *rows))


def _headline(findings: Findings) -> Sequence[Html]:
    evaluation, record = findings.evaluation, findings.record
    if evaluation is not None:
        figures, split, n = evaluation.figures, evaluation.split, evaluation.n
    elif record is not None:
        split = record.reported_split
        figures, n = record.figures, int(record.data.get(split, {}).get("used", 0))
    else:
        return ()
    name = next(iter(figures), None)
    if name is None:
        return ()
    value = number(figures[name])
    text = f"{say.figure_name(name)} on the {split} split, {say.count(n)} images"
    if value is not None and say.is_share(name) and n:
        text += f"; 95% interval {say.interval(value, n)}"
    shown = say.NOTHING if value is None else say.figure(name, value)
    return (element("p.headline", element("strong", shown), " ", element("span", text)),)


def _record_facts(record: RunRecord) -> dict[str, str]:
    reported = say.figures(record.reported_split, record.figures)
    start = {"starts from": record.pretrained["source"]} if record.pretrained else {}
    return {
        **reported,
        **say.figures("selection", record.selection),
        **start,
        "chosen step": f"{say.count(record.best_step)} of {say.count(record.steps)}",
        "epochs": f"{record.epochs:g}",
        "parameters": say.amount(record.parameters),
        "MACs": say.amount(record.macs),
        "training": say.duration(record.train_seconds),
        "in all": say.duration(record.total_seconds),
        "speed": say.rate(record.images_per_second),
        "waiting for data": say.percent(record.data_wait_share, 1),
        "peak memory": say.memory(record.peak_memory_mb),
    }


def _event_facts(findings: Findings) -> dict[str, str]:
    """Returns what the log of an unfinished run tells."""
    steps, evaluations = findings.of_kind("step"), findings.of_kind("evaluate")
    last = findings.events[-1] if findings.events else {"step": 0, "epoch": 0.0}
    facts = {"steps so far": say.count(last["step"]), "epochs so far": f"{last['epoch']:.4g}"}
    if evaluations:
        facts |= say.figures(str(evaluations[-1]["split"]), evaluations[-1]["figures"])
    speeds = [speed for event in steps if (speed := number(event.get("images_per_s"))) is not None]
    if speeds:
        facts["speed"] = say.rate(sum(speeds) / len(speeds))
    return facts


def _refused(where: str, files: Sequence[tuple[str, str]]) -> Html:
    if not files:
        return Html()
    rest = len(files) - _MOST_REFUSED
    rows: list[tuple[str, str]] = [*files[:_MOST_REFUSED]]
    if rest > 0:
        rows.append((f"and {say.count(rest)} more", "see record.json"))
    title = element("summary", f"{say.count(len(files))} refused {where}")
    return element("details", title, table(["file", "reason"], rows))
