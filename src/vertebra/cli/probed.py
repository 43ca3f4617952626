"""What `vertebra probe` prints: one table, or the same as JSON."""

import json
from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

from vertebra.data.split import Splits
from vertebra.recipes.few_labels import Outcome
from vertebra.recipes.probe import Protocols, Worth
from vertebra.records import Json
from vertebra.report import quantities as say
from vertebra.report.classes import wilson
from vertebra.report.terminal import names_table, open_console


class Findings(NamedTuple):
    """What was measured: of the backbone, then of fresh weights."""

    splits: Splits
    protocols: Protocols
    worths: Sequence[Worth]
    outcomes: Sequence[Outcome]


def show(found: Findings, *, as_json: bool) -> None:
    """Prints what was found."""
    if as_json:
        print(json.dumps(_data(found), indent=2))
        return
    console, report = open_console(), found.splits.report
    columns = _columns(found)
    title = f"top-1 on {say.number_of(len(report), 'image')} of {found.splits.report_name}"
    rows = [
        [each.backbone, *map(_spread, row)]
        for each, row in zip(found.worths, columns.rows, strict=True)
    ]
    console.print(names_table([title, *columns.names], rows, numbers=len(columns.names)))
    console.print()
    for note in _notes(found, [share for row in columns.rows for cell in row for share in cell]):
        console.print(note, markup=False)


class _Columns(NamedTuple):
    """Names, and a row of cells for each backbone; a cell has the shares of one run or several."""

    names: list[str]
    rows: tuple[list[list[float]], list[list[float]]]


def _columns(found: Findings) -> _Columns:
    names: list[str] = []
    cells: list[list[list[float]]] = []  # by column, then by row
    if found.protocols.neighbours is not None:
        names.append(say.number_of(found.protocols.neighbours.count, "neighbour"))
        cells.append([[each.neighbours] for each in found.worths if each.neighbours is not None])
    if found.protocols.linear is not None:
        names.append("linear map")
        cells.append([[each.linear] for each in found.worths if each.linear is not None])
    for share in dict.fromkeys(each.fraction for each in found.outcomes):
        names.append(f"{100 * share:g}% of labels")
        of_it = [each for each in found.outcomes if each.fraction == share]
        cells.append(
            [[one.top1 for one in of_it if one.is_pretrained is first] for first in (True, False)]
        )
    return _Columns(names, ([each[0] for each in cells], [each[1] for each in cells]))


def _spread(shares: Sequence[float]) -> str:
    """Returns a share, or the mean of several and their standard deviation."""
    text = say.percent(mean(shares))
    return text if len(shares) == 1 else f"{text} ± {100 * stdev(shares):.2f}"


def _notes(found: Findings, shares: Sequence[float]) -> list[str]:
    """Returns how figures are to be read, a sentence each."""
    notes: list[str] = []
    n = len(found.splits.report)
    ends = [wilson(round(share * n), n) for share in shares]
    half = max((end.high - end.low) / 2 for end in ends)
    notes.append(f"95% intervals over images are at most ± {100 * half:.1f}")
    if found.protocols.linear is not None:
        rates = " and ".join(f"{each.rate:g}" for each in found.worths)
        minival = say.number_of(len(found.splits.minival), "image")
        notes.append(f"rates of the linear map, chosen on {minival} of minival: {rates}")
    if found.outcomes:
        draws = len({each.seed for each in found.outcomes})
        below = found.outcomes[0].directory.parent
        spread = " ± standard deviation" if draws > 1 else ""
        notes.append(
            f"of labels: fine-tuned, and from scratch on the same images; "
            f"mean{spread} of {say.number_of(draws, 'draw')}; runs in {below}"
        )
    return notes


def _data(found: Findings) -> Json:
    splits, protocols = found.splits, found.protocols
    neighbours = protocols.neighbours
    return {
        "split": splits.report_name,
        "n": len(splits.report),
        "train": len(splits.train),
        "minival": len(splits.minival),
        "neighbours": neighbours and neighbours.count,
        "backbones": [each._asdict() for each in found.worths],
        "few_labels": [
            {**each._asdict(), "directory": str(each.directory)} for each in found.outcomes
        ],
    }
