"""What each model on the shelf costs, read from a table: asking must not build a hundred networks.

`scripts/costs` writes the table and a test holds it to the layers.
"""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

TABLE = "costs.csv"


class Cost(NamedTuple):
    """Parameters with 1000 classes; multiply-adds of one image of the shelf's size."""

    parameters: int
    macs: int


@cache
def costs() -> Mapping[str, Cost]:
    """Returns the cost of every model on the shelf, by name."""
    text = files("vertebra.models").joinpath(TABLE).read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["model"]: Cost(int(row["parameters"]), int(row["macs"])) for row in rows}
