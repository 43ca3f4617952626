"""Images without labels: of folders in any order, and of what a data set trains on."""

import zipfile

import pytest
from PIL import Image

from vertebra.data.split import divide
from vertebra.data.unlabelled import Unlabelled, open_images
from vertebra.errors import DataError, RecipeError


def draw(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (colour, 0, 0)).save(path)


@pytest.fixture
def flat(tmp_path):
    folder = tmp_path / "flat"
    for number in range(1, 31):
        draw(folder / f"{number}.png", number)
    return folder


@pytest.fixture
def labelled(tmp_path):
    folder = tmp_path / "labelled"
    for number in range(20):
        draw(folder / "train" / "ab"[number % 2] / f"{number}.png", number)
        draw(folder / "test" / "ab"[number % 2] / f"{number}.png", 100 + number)
    return folder


def test_a_folder_in_any_order_is_one_split_without_classes(flat):
    source = open_images(str(flat))
    assert (source.name, source.classes, [*source.splits]) == ("flat", (), ["train"])
    split = source.splits["train"]
    assert list(split.names) == [f"{number}.png" for number in range(1, 31)]
    assert split.classes == () and not split.labels.any()
    assert split.open(6, 3).getpixel((0, 0)) == (7, 0, 0)


def test_folders_below_count_and_clutter_does_not(flat):
    (flat / ".hidden").write_bytes(b"")
    (flat / "README.txt").write_text("which images these are")
    draw(flat / "more" / "last.png", 99)
    names = list(open_images(str(flat)).splits["train"].names)
    assert len(names) == 31 and "more/last.png" in names


def test_one_folder_for_all_images_is_no_class(flat):
    draw(flat.parent / "outer" / "all" / "1.png", 1)
    draw(flat.parent / "outer" / "all" / "2.png", 2)
    source = open_images(str(flat.parent / "outer"))
    assert source.classes == ()
    assert list(source.splits["train"].names) == ["all/1.png", "all/2.png"]


def test_a_folder_that_is_moved_is_divided_as_before(flat, tmp_path):
    before = divide(open_images(str(flat)), seed=0)
    moved = flat.rename(tmp_path / "elsewhere")
    after = divide(open_images(str(moved)), seed=0)
    for name in ("train", "minival", "report"):
        assert list(getattr(before, name).names) == list(getattr(after, name).names)


def test_without_classes_a_source_is_divided_by_the_same_shares(flat):
    splits = divide(open_images(str(flat)), seed=0)
    assert [len(each) for each in (splits.train, splits.minival, splits.report)] == [22, 2, 6]
    parts = [set(each.names) for each in (splits.train, splits.minival, splits.report)]
    assert len(set.union(*parts)) == 30


def test_of_a_data_set_only_what_it_trains_on_is_seen_and_without_labels(labelled):
    split = Unlabelled(source=str(labelled)).open(seed=0)
    train = divide(open_images(str(labelled)), seed=0).train
    assert list(split.names) == list(train.names)
    assert split.classes == () and not split.labels.any()
    assert not any(name.startswith("test") for name in split.names)


def test_of_a_folder_in_any_order_all_is_seen(flat):
    assert len(Unlabelled(source=str(flat)).open(seed=0)) == 30


def test_class_folders_are_classes_here_too(labelled):
    assert open_images(str(labelled)).classes == ("a", "b")


def test_an_archive_without_class_folders_is_to_be_unpacked(flat, tmp_path):
    archive = tmp_path / "flat.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for file in flat.iterdir():
            made.write(file, file.name)
    with pytest.raises(DataError, match=r"flat\.zip holds no class folders; unpack it"):
        open_images(str(archive))


def test_a_folder_that_is_empty_or_missing_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no files"):
        open_images(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="does not exist"):
        open_images(str(tmp_path / "missing"))


def test_a_source_without_a_name_is_refused():
    with pytest.raises(RecipeError, match="source=''; give a folder"):
        Unlabelled(source="")
