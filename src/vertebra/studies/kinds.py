"""The kinds of studies, and how the results of each are read."""

from collections.abc import Callable, Mapping

from vertebra.studies.ablate import read_ablation
from vertebra.studies.data_scaling import read_data
from vertebra.studies.decay import read_decay
from vertebra.studies.reading import Reading
from vertebra.studies.resolution import read_resolution
from vertebra.studies.results import Results
from vertebra.studies.scale import read_scale

READERS: Mapping[str, Callable[[Results], Reading]] = {
    "ablate": read_ablation,
    "data": read_data,
    "decay": read_decay,
    "resolution": read_resolution,
    "scale": read_scale,
}
"""Kind -> its reader."""


def read(results: Results) -> Reading:
    """Returns what the study found, so far as its runs have finished."""
    return READERS[results.study.kind](results)
