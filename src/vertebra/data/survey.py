"""Looks at every split of a source: what each found, uses and refuses, and which files stand in
two."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vertebra.data.decode import BrokenImage
from vertebra.data.decoded import Album
from vertebra.data.examine import Examination, Refusal, Twin, examine, keep, twins
from vertebra.data.images import Source, Split
from vertebra.records import Json

FULL = 20_000
"""Up to this many files every one is decoded; beyond it only headers are read, unless asked for."""


@dataclass(frozen=True, eq=False)
class Survey:
    """A source with what was seen in it.

    usable: the source without the files that were refused.
    twins:  files whose very content stands in two splits; empty where only headers were read.
    """

    usable: Source
    examinations: Mapping[str, Examination]
    twins: tuple[Twin, ...]

    @property
    def refused(self) -> int:
        """How many files are not used."""
        return sum(len(each.refused) for each in self.examinations.values())

    def account(self) -> dict[str, Json]:
        """Returns found, used and refused of each split, as a run's record has them."""
        return {
            name: {
                "found": each.found,
                "used": each.used,
                "refused": [{"name": one.name, "reason": one.reason} for one in each.refused],
            }
            for name, each in self.examinations.items()
        }


def survey(
    source: Source,
    *,
    channels: int,
    full: bool | None = None,
    keeps: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Returns what is in `source`; `full` None decodes every file of up to `FULL`.

    keeps:       decoded pictures, where they are few and small; those kept before are not decoded
                 again. See `decoded`.
    on_progress: is called with (done, total) over all splits.

    Raises:
        DataError: nothing in a split can be used.
    """
    total = sum(len(split) for split in source.splits.values())
    before = 0

    def report(done: int, _: int) -> None:
        if on_progress is not None:
            on_progress(before + done, total)

    decodes = total <= FULL if full is None else full
    album = Album.of(source, channels) if decodes and keeps else None
    examinations: dict[str, Examination] = {}
    for name, split in source.splits.items():
        examinations[name] = examine(
            split, channels=channels, full=decodes, album=album, on_progress=report
        )
        before += len(split)
    usable = {name: keep(split, examinations[name]) for name, split in source.splits.items()}
    if album is not None:
        usable = _decoded(usable, examinations, album)
    return Survey(source.replace(usable), examinations, twins(source.splits, examinations))


def _decoded(
    usable: Mapping[str, Split], examinations: Mapping[str, Examination], album: Album
) -> dict[str, Split]:
    """Returns the splits with their pictures read from the album, which is written if need be."""
    digests = {
        name: each.digests[each.kept]
        for name, each in examinations.items()
        if each.digests is not None
    }
    album.close(np.concatenate([*digests.values()]))
    return {name: album.split(split, digests[name]) for name, split in usable.items()}


def survey_loose(
    split: Split, *, channels: int, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Split, tuple[Refusal, ...]]:
    """Returns the images that can be decoded, perhaps none, and the refused ones."""
    kept: list[int] = []
    refused: list[Refusal] = []
    for index in range(len(split)):
        try:
            split.open(index, channels)
            kept.append(index)
        except BrokenImage as error:
            refused.append(Refusal(split.name(index), error.reason))
        if on_progress is not None:
            on_progress(index + 1, len(split))
    return split.subset(kept), tuple(refused)
