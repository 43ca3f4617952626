from pathlib import Path

import pytest
from tests.data.album import plant

from vertebra.data.manifest import open_manifest
from vertebra.errors import DataError


def written(folder: Path, *lines: str, name: str = "list.csv") -> Path:
    plant(folder, "x/1.png", "x/2.png", "x/3.png")
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(("name", "mark"), [("list.csv", ","), ("list.tsv", "\t")])
def test_a_manifest_names_files_labels_and_splits(tmp_path: Path, name: str, mark: str):
    rows = ["\ufeffPath ,LABEL,split", "x/2.png,b,train", "x/1.png,a,Training", "x/3.png,b,valid"]
    source = open_manifest(written(tmp_path, *(row.replace(",", mark) for row in rows), name=name))
    assert source.name == "list"
    assert source.classes == ("a", "b")
    assert list(source.splits["train"].names) == ["x/1.png", "x/2.png"]
    assert source.splits["val"].labels.tolist() == [1]
    assert source.splits["train"].open(0, 3).size == (8, 8)


def test_without_a_split_column_all_is_train_and_other_columns_are_told(tmp_path: Path):
    path = written(tmp_path, "id,path,label,width", "1,x/1.png,a,8", f"2,{tmp_path}/x/2.png,b,8")
    source = open_manifest(path)
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 2}
    assert source.notes == ("columns that are not used: 'id', 'width'",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,lable", "x/1.png,a"], "has the column 'lable'; did you mean 'label'?"),
        (["path,label,splits", "x/1.png,a,val"], "did you mean 'split'?"),
        (["file,label", "x/1.png,a"], "has no column 'path' .it has 'file', 'label'.; its first"),
        (["path,label"], "lists no images; write a line"),
        (["path,label", "x/1.png,"], "line 2 has no label; write one"),
        (["path,label", "x/1.png,a", ",b"], "line 3 has no path; write one"),
        (["path,label,split", "x/1.png,a,trian"], "the split 'trian'; did you mean 'train'?"),
        (["path,label,split", "x/1.png,a"], "line 2 has the split ''; choose one of"),
        (["path,label", "x/1.png,a", "x/1.png,b"], "names 'x/1.png' on lines 2 and 3; keep one"),
        (["path,label", "x/1.png,a", "x/9.png,b"], "1 of 2 files that are not there: 'x/9.png'"),
        (["path,label", "x/1.png,a", "x/2.png,a"], "one class only"),
        (["path,label,split", "x/1.png,a,val"], "none to train on"),
    ],
)
def test_a_manifest_with_a_fault_says_where_and_what_to_do(
    tmp_path: Path, lines: list[str], message: str
):
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        open_manifest(written(tmp_path, *lines))


def test_an_empty_or_binary_manifest_is_refused(tmp_path: Path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="has no column 'path'"):
        open_manifest(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(DataError, match=r"cannot be read as UTF-8 CSV .* save it as that"):
        open_manifest(tmp_path / "binary.csv")
