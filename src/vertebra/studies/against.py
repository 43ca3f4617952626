"""What each row of a study changes, and against which other row."""

from typing import NamedTuple

from vertebra.studies.steps import said_between
from vertebra.studies.study import Cell, Study


class Changed(NamedTuple):
    """A row, the row that it is compared with, and what it changes in words."""

    name: str
    against: str
    changes: tuple[str, ...]


def changed_rows(study: Study) -> tuple[Changed, ...]:
    """Returns each row but the first: of an additive table against the row before, or against all
    steps where it leaves one out; of a grid against the first row."""
    first, *others = study.cells
    before, changed = first, list[Changed]()
    for cell in others:
        changed.append(
            Changed(cell.name, before.name, tuple(said_between(before.recipe, cell.recipe)))
        )
        if _is_built_upon(cell):
            before = cell
    return tuple(changed)


def _is_built_upon(cell: Cell) -> bool:
    return cell.place.get("role") == "step"
