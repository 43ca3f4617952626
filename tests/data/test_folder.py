import tracemalloc
from pathlib import Path

import pytest
from tests.data.album import plant

from vertebra.data.folder import files_below, open_folder
from vertebra.data.images import Source
from vertebra.errors import DataError


def labels(source: Source, split: str) -> dict[str, str]:
    """Returns the class of each file of a split."""
    part = source.splits[split]
    pairs = zip(part.names, part.labels.tolist(), strict=True)
    return {name: source.classes[label] for name, label in pairs}


def test_classes_stand_in_natural_order_and_files_in_that_of_their_names(tmp_path: Path):
    plant(tmp_path, "class10/b.png", "class2/img10.png", "class2/img9.png", "class2/deep/er/x.png")
    source = open_folder(tmp_path)
    assert source.classes == ("class2", "class10")
    assert labels(source, "train") == {
        "class2/deep/er/x.png": "class2",
        "class2/img9.png": "class2",
        "class2/img10.png": "class2",
        "class10/b.png": "class10",
    }
    assert source.name == tmp_path.name
    assert list(source.splits) == ["train"]
    assert list(source.splits["train"].names) == sorted(source.splits["train"].names)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("Training", "Validation", "Testing"), ("train", "val", "test")),
        (("train", "valid", "eval"), ("train", "val", "test")),
    ],
)
def test_folders_for_splits_are_known_by_many_names(
    tmp_path: Path, folders: tuple, expected: tuple
):
    for folder in folders:
        plant(tmp_path / folder, "a/1.png", "b/1.png")
    assert tuple(open_folder(tmp_path).splits) == expected


def test_classes_match_by_name_whatever_the_splits_hold(tmp_path: Path):
    plant(
        tmp_path, "train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/1.png", "test/b/1.png"
    )
    source = open_folder(tmp_path)
    assert source.classes == ("a", "b", "c")
    assert labels(source, "val") == {"val/c/1.png": "c"}
    assert labels(source, "test") == {"test/b/1.png": "b"}


def test_a_class_that_is_not_trained_stops_with_both_lists(tmp_path: Path):
    plant(tmp_path, "train/ant/1.png", "train/bee/1.png", "val/bee/1.png", "val/wasp/1.png")
    with pytest.raises(DataError) as caught:
        open_folder(tmp_path)
    message = str(caught.value)
    assert "the val images of" in message and "have the classes 'wasp'" in message
    assert "'ant', 'bee'" in message and "rename or remove" in message


def test_one_class_only_is_refused(tmp_path: Path):
    plant(tmp_path, "cats/1.png", "cats/2.png")
    with pytest.raises(DataError, match=r"holds one class only \('cats'\); at least two"):
        open_folder(tmp_path)


@pytest.mark.parametrize("names", [(), (".hidden/1.png", "__MACOSX/a/1.png", "a/Thumbs.db")])
def test_an_empty_folder_is_refused(tmp_path: Path, names: tuple):
    plant(tmp_path, *names)
    with pytest.raises(DataError, match="holds no files; give a folder"):
        open_folder(tmp_path)


@pytest.mark.parametrize("names", [("1.png", "2.png"), ("train/1.png", "test/2.png")])
def test_images_without_class_folders_are_refused(tmp_path: Path, names: tuple):
    plant(tmp_path, *names)
    with pytest.raises(
        DataError, match="2 files but no class folders; put the images of each class"
    ):
        open_folder(tmp_path)


def test_images_to_judge_without_images_to_train_are_refused(tmp_path: Path):
    plant(tmp_path, "val/a/1.png", "val/b/1.png", "test/a/1.png")
    with pytest.raises(DataError, match="holds images for val and test and none to train on"):
        open_folder(tmp_path)


def test_two_folders_for_one_split_are_refused(tmp_path: Path):
    plant(tmp_path, "train/a/1.png", "val/a/1.png", "validation/a/1.png")
    with pytest.raises(DataError, match="'val' and 'validation', which both mean val"):
        open_folder(tmp_path)


def test_train_may_be_a_class_of_vehicles(tmp_path: Path):
    plant(tmp_path, "train/1.png", "bus/1.png", "car/1.png")
    assert open_folder(tmp_path).classes == ("bus", "car", "train")


def test_a_folder_around_everything_is_passed_through(tmp_path: Path):
    plant(tmp_path, "pets/all/train/a/1.png", "pets/all/train/b/1.png", "pets/all/val/a/1.png")
    plant(tmp_path, "notes.txt")
    source = open_folder(tmp_path)
    assert source.classes == ("a", "b")
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 2, "val": 1}


def test_clutter_is_not_found_but_strange_files_are(tmp_path: Path):
    plant(tmp_path, "a/1.png", "a/.DS_Store", "a/Thumbs.db", "a/README.md", "LICENSE", "b/1.png")
    (tmp_path / "a/notes.txt").write_text("no picture")
    assert list(open_folder(tmp_path).splits["train"].names) == [
        "a/1.png",
        "a/notes.txt",
        "b/1.png",
    ]


def test_what_lies_beside_the_classes_is_told(tmp_path: Path):
    plant(tmp_path, "train/a/1.png", "train/b/1.png", "masks/a/1.png", "labels.csv")
    (note,) = open_folder(tmp_path).notes
    assert note.startswith("2 files outside the class folders are not used: ")
    assert "masks/a/1.png" in note and "labels.csv" in note


def test_linked_folders_are_followed_and_circles_refused(tmp_path: Path):
    plant(tmp_path / "store", "x/1.png")
    data = plant(tmp_path / "data", "a/1.png")
    (data / "b").symlink_to(tmp_path / "store/x")
    (data / "c").symlink_to(tmp_path / "store/x")  # the same folder twice is no circle
    assert sorted(files_below(data)) == ["a/1.png", "b/1.png", "c/1.png"]
    (data / "a/up").symlink_to(data)
    with pytest.raises(DataError, match=r"links back to .* remove the link"):
        files_below(data)


def test_files_stand_in_the_order_of_their_whole_names(tmp_path: Path):
    names = ("a-b/1", "a.png", "a/-/1", "a/1", "a/\udc80", "a/\ue000", "a0/1", "b", "é/1")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert list(files_below(tmp_path)) == sorted(names)  # "-" < "." < "/" < "0"


def test_links_that_lead_nowhere_or_to_themselves_are_files(tmp_path: Path):
    plant(tmp_path, "a/1.png")
    (tmp_path / "a/lost").symlink_to("nowhere")
    (tmp_path / "a/self").symlink_to("self")
    assert list(files_below(tmp_path)) == ["a/1.png", "a/lost", "a/self"]


def test_listing_takes_little_more_memory_than_what_is_kept(tmp_path: Path):
    for label in ("n01440764", "n01443537"):
        (tmp_path / "train" / label).mkdir(parents=True)
        for place in range(2500):
            (tmp_path / "train" / label / f"{label}_{place:05d}.JPEG").touch()
    open_folder(tmp_path)  # what is made once
    tracemalloc.start()
    source = open_folder(tmp_path)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(source.splits["train"]) == 5000
    assert peak < 4 * kept  # with every path in a list it is 14 times as much
