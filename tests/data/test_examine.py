import csv
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from tests.data.album import encoded, in_memory, noise, plant

from vertebra.data.examine import examine, keep, twins
from vertebra.data.folder import open_folder
from vertebra.data.sources import loose
from vertebra.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plant(tmp_path, *(f"{name}/{number}.png" for name in "ab" for number in range(80)))
    (tmp_path / "a/notes.txt").write_text("no picture")
    (tmp_path / "b/empty.png").write_bytes(b"")
    (tmp_path / "b/cut.png").write_bytes(encoded(noise(64, 64))[:900])
    return tmp_path


def test_found_is_used_and_refused(folder: Path):
    split = open_folder(folder).splits["train"]
    seen: list[tuple[int, int]] = []
    result = examine(
        split, channels=3, full=True, on_progress=lambda done, total: seen.append((done, total))
    )
    assert result.found == len(split) == 163
    assert result.used + len(result.refused) == result.found
    reasons = {refusal.name: refusal.reason for refusal in result.refused}
    assert set(reasons) == {"a/notes.txt", "b/empty.png", "b/cut.png"}
    assert "no known image format" in reasons["a/notes.txt"]
    assert seen[-1] == (163, 163) and seen == sorted(seen)
    kept = keep(split, result)
    assert set(kept.names) == set(split.names) - set(reasons)
    assert all(kept.name(index)[0] == "ab"[label] for index, label in enumerate(kept.labels))


def test_headers_alone_miss_only_what_is_cut_off(folder: Path):
    result = examine(open_folder(folder).splits["train"], channels=3, full=False)
    assert {refusal.name for refusal in result.refused} == {"a/notes.txt", "b/empty.png"}
    assert result.digests is None


def test_a_header_longer_than_the_first_bytes_is_read_whole(tmp_path: Path):
    segments = b"".join(b"\xff\xfe\xff\xff" + bytes(65533) for _ in range(3))
    data = encoded(noise(8, 8), "JPEG")
    (tmp_path / "long.jpg").write_bytes(data[:2] + segments + data[2:])
    assert examine(loose([tmp_path / "long.jpg"]), channels=3, full=False).used == 1


def test_a_split_without_a_usable_file_is_refused(tmp_path: Path):
    plant(tmp_path)
    (tmp_path / "a.jpg").write_text("nothing")
    with pytest.raises(DataError, match=r"none of 1 files can be used; the first: .*a\.jpg is no"):
        examine(loose([tmp_path / "a.jpg"]), channels=3, full=True)


def test_nothing_refused_keeps_the_split_and_tells_its_size():
    split = in_memory(5)
    assert split.size is None
    for full in (True, False):
        kept = keep(split, examine(split, channels=1, full=full))
        assert vars(kept) == vars(replace(split, size=(8, 8)))


def test_a_size_is_told_only_where_all_usable_images_have_it(tmp_path: Path):
    def size(full: bool) -> tuple[int, int] | None:
        return examine(open_folder(tmp_path).splits["train"], channels=3, full=full).size

    for name in ("a/0.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(noise(9, 7)))
    (tmp_path / "a/broken.png").write_bytes(b"no image")
    assert size(full=True) == (7, 9)
    assert size(full=False) is None  # it may be turned
    (tmp_path / "a/0.png").write_bytes(encoded(noise(7, 9)))
    assert size(full=True) is None


def test_the_same_file_in_two_splits_is_told(tmp_path: Path):
    plant(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/9.png", "test/b/9.png")
    copied = (tmp_path / "train/b/1.png").read_bytes()
    (tmp_path / "val/b").mkdir()
    (tmp_path / "val/b/copy.png").write_bytes(copied)
    (tmp_path / "val/b/broken.png").write_bytes(b"")
    (tmp_path / "test/b/broken.png").write_bytes(b"")
    splits = open_folder(tmp_path).splits
    looks = {name: examine(split, channels=3, full=True) for name, split in splits.items()}
    assert twins(splits, looks) == (("train/b/1.png", "val/b/copy.png"),)
    looks = {name: examine(split, channels=3, full=False) for name, split in splits.items()}
    assert twins(splits, looks) == ()


def test_warnings_work_as_before_after_threads_have_silenced_theirs(folder: Path):
    before = list(warnings.filters)
    for _ in range(3):
        examine(open_folder(folder).splits["train"], channels=3, full=True)
    assert warnings.filters == before
    assert threading.active_count() == 1


@pytest.mark.data
def test_the_packs_hold_no_broken_file(packs: Path):
    for split in open_folder(packs / "ants-bees").splits.values():
        assert examine(split, channels=3, full=True).refused == ()


@pytest.mark.data
def test_of_the_odd_files_exactly_the_broken_ones_are_refused(packs: Path):
    with (packs / "odd-images/manifest.csv").open(newline="") as file:
        broken = {
            row["file"] for row in csv.DictReader(file) if row["reference_decoder"] != "decodes"
        }
    result = examine(loose([packs / "odd-images/files"]), channels=3, full=True)
    assert {Path(refusal.name).name for refusal in result.refused} == broken
    assert result.found == 41
