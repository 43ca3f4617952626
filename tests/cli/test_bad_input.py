"""What a user can get wrong: one sentence, exit code 2, no traceback, nothing lost."""

import errno
import json
import shutil
import socket
from pathlib import Path

import pytest
from tests.cli.conftest import TINY, Said, vertebra

from vertebra import records
from vertebra.engine import disk
from vertebra.engine.observers import Saver
from vertebra.recipes.codec import to_data
from vertebra.recipes.shelf import load


def refused(said: Said, told: str) -> None:
    """Asserts that the command ended with one sentence that says `told`, and printed no more."""
    assert said.code == 2
    last = said.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert said.err.count("error: ") == 1
    assert "Traceback" not in said.err
    assert told in last


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--device=cuda:99"], "device 'cuda:99' is not there"),
        (["--device=tpu"], "device 'tpu' is unknown; use auto, cpu, cuda, cuda:1 or mps"),
        (["--devices=0"], "devices=0; give the number of processes, at least 1"),
        (["--devices=-2"], "devices=-2; give the number"),
        (["--batch-size=0"], "data: batch_size=0; give at least 1"),
        (["--batch-size=-8"], "data: batch_size=-8; give at least 1"),
        (["--epochs=0"], "length=0 epochs; give a duration above zero"),
        (["--epochs=-1"], "duration is -1.0; give a finite number of epochs, zero or more"),
        (["--epochs=nan"], "duration is nan; give a finite number of epochs"),
        (["--epochs=inf"], "duration is inf; give a finite number of epochs"),
        (["--image-size=0"], "data.preprocess: image_size=0; give at least 1 pixel"),
        (["--lr=nan"], "optimizer: SGD lr=nan; give a finite number above 0"),
        (["--lr=-1"], "optimizer: SGD lr=-1.0; give a finite number above 0"),
        (["--seed=-1"], "seed=-1; give zero or more"),
        (["--workers=-1"], "execution: workers=-1; give 0 or more"),
        (["--model=resnet5"], "unknown model 'resnet5'; did you mean 'resnet50'?"),
        (["--recipe=smal"], "unknown recipe 'smal'; did you mean 'small'?"),
        (["--set=seed"], "setting 'seed' has no value; write path=value"),
        (["--set=optimzer.lr=1"], "unknown key 'optimzer.lr'; did you mean 'optimizer.lr'?"),
        (["--set=lr=1"], "unknown key 'lr'; did you mean 'optimizer.lr'?"),
        (["--set=optimizer.lr=abc"], "optimizer.lr='abc' is text; expected a number"),
        (["--set=seed=1.5"], "seed=1.5 is a number; expected a whole number"),
        (["--set=schedule=Cosin"], "schedule.kind is 'Cosin'; did you mean 'Cosine'?"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_is_read(elsewhere, album, flags, told):
    said = vertebra("train", album, *flags)
    refused(said, told)
    assert said.out == ""
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--epochs=three", "could not convert string to float: 'three'"),
        ("--precision=fp16", "invalid choice 'fp16'"),
        ("--epoch=3", "--epochs N"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_the_parser(elsewhere, flag, told):
    said = vertebra("train", flag)
    assert said.code == 2
    assert told in said.err and "Traceback" not in said.err


def lay(files: dict[str, bytes], album: Path) -> Path:
    """Writes files into ./data; "@" stands for a picture."""
    picture = (album / "train/left/0.png").read_bytes()
    root = Path("data")
    root.mkdir()
    for number, (name, content) in enumerate(files.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        # bytes after its end change a picture's content and leave it readable
        (root / name).write_bytes(picture + bytes([number]) if content == b"@" else content)
    return root


@pytest.mark.parametrize("command", ["train", "plan", "check"])
@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "data holds no files; give a folder with a folder of images per class"),
        ({"a/1.png": b"@", "a/2.png": b"@"}, "data holds one class only ('a')"),
        ({"1.png": b"@"}, "holds 1 files but no class folders"),
        ({"a/1.png": b"", "b/1.png": b"x"}, "none of 2 files can be used; the first: a/1.png"),
    ],
    ids=["empty", "one class", "no classes", "unreadable"],
)
def test_data_that_cannot_be_trained_on_are_refused(elsewhere, album, command, files, told):
    refused(vertebra(command, lay(files, album)), told)
    assert [path.name for path in elsewhere.iterdir()] == ["data"]


def test_a_class_that_training_never_sees_is_refused_with_both_lists(elsewhere, album):
    names = ["train/a", "train/b", "val/a", "val/b", "val/c"]
    said = vertebra("train", lay({f"{name}/1.png": b"@" for name in names}, album))
    refused(said, "data have the classes 'c' that its train split does not have")
    assert "(it has 'a', 'b')" in said.err


@pytest.mark.parametrize("command", ["train", "plan", "check"])
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nowhere", "nowhere does not exist; give a path, or one of cifar10, cifar100, digits"),
        ("digit", "digit does not exist; did you mean 'digits'?"),
        (
            __file__,
            "is a file of no kind that holds a data set; give a folder, or a file that ends",
        ),
    ],
)
def test_a_path_that_is_no_data_set_is_refused(elsewhere, command, path, told):
    refused(vertebra(command, path), told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,lable\n1.png,a\n", "has the column 'lable'; did you mean 'label'?"),
        ("image,class\n1.png,a\n", "has no column 'path' (it has 'image', 'class')"),
        ("path,label,split\n1.png,a,tset\n", "line 2 has the split 'tset'; did you mean 'test'?"),
        ("path,label\n1.png,a\n", "names 1 of 1 files that are not there: '1.png'"),
        ("path,label\n", "lists no images"),
        ("", "has no column 'path'"),
    ],
)
def test_a_manifest_that_cannot_be_understood_is_refused(elsewhere, text, told):
    Path("list.csv").write_text(text, encoding="utf-8")
    refused(vertebra("train", "list.csv"), told)


def test_columns_that_mean_nothing_are_told_and_not_used(elsewhere, album):
    rows = [f"{file},{file.parent.name},me" for file in (album / "train").rglob("*.png")]
    Path("list.csv").write_text("\n".join(["path,label,photographer", *rows]), encoding="utf-8")
    said = vertebra("check", "list.csv")
    assert said.code == 0
    assert "not used   columns that are not used: 'photographer'" in said.out


@pytest.mark.parametrize("name", ["baseline", "resnet-rs", "small"])
def test_a_recipe_without_images_asks_for_them(elsewhere, name):
    refused(vertebra("train", "--recipe", name), f"recipe {name!r} brings no images; give yours")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data.update(seed="one"), "seed='one' is text; expected a whole number"),
        (lambda data: data.update(sede=1), "unknown key 'sede'; did you mean 'seed'?"),
        (lambda data: data.pop("model"), "model is missing"),
        (lambda data: data.update(phases=[]), "a recipe has no phases"),
    ],
)
def test_a_stored_recipe_that_departs_from_the_schema_is_refused(elsewhere, change, told):
    data = to_data(load("digits"))
    change(data)
    Path("mine.json").write_text(json.dumps(data), encoding="utf-8")
    refused(vertebra("train", "--recipe=mine.json"), f"mine.json is no recipe: {told}")


def test_a_stored_recipe_that_is_no_json_is_refused(elsewhere):
    Path("mine.json").write_text("{", encoding="utf-8")
    refused(vertebra("train", "--recipe=mine.json"), "mine.json cannot be read as JSON")


def test_a_folder_with_a_run_is_never_written_into(trained, album):
    out, _ = trained
    before = contents(out)
    said = vertebra("train", album, "--out", out)
    refused(said, f"{out} is not empty; choose another folder, or continue its run with")
    assert contents(out) == before


def test_a_file_or_a_full_folder_is_no_place_for_a_run(elsewhere, album):
    Path("full").mkdir()
    Path("full/mine.txt").write_text("keep")
    for place, told in (("full", "full is not empty"), ("full/mine.txt", "mine.txt is a file")):
        refused(vertebra("train", album, "--out", place), f"{told}; choose another folder")
    assert Path("full/mine.txt").read_text() == "keep"


def test_an_empty_folder_is_a_place_for_a_run(elsewhere, album):
    Path("empty").mkdir()
    assert vertebra("train", album, "--out=empty", "--set=length=1 step", *TINY).code == 0


def test_a_folder_that_cannot_be_written_is_refused(elsewhere, album, monkeypatch):
    def deny(descriptor):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(records.os, "fsync", deny)
    said = vertebra("train", album, "--out=locked", "--set=length=1 step", *TINY)
    refused(said, "cannot write locked/classes.json: Permission denied; free some space or choose")


@pytest.mark.parametrize("command", ["evaluate", "resume", "report"])
@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_folder_without_a_run_is_refused(elsewhere, command, place):
    refused(vertebra(command, place), f"{place} is no run directory (it has no recipe.json); give")


def test_prediction_needs_a_run_and_images(elsewhere, trained):
    out, _ = trained
    refused(vertebra("predict", ".", "x.png"), ". is no run directory")
    refused(vertebra("predict", out), "no images were given; give images, or folders of images")
    refused(vertebra("predict", out, "x.png"), "x.png does not exist; give a path")
    refused(vertebra("predict", out, "."), ". holds no files")
    refused(vertebra("predict", out, ".", "--top=0"), "top=0; give the number of classes to name")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damaged_weights_are_refused_by_name(trained, album, tmp_path, command, how):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    file = run / "checkpoints/best/model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(content[: -8 if how == "cut" else None])
    arguments = [album / "val/left"] if command == "predict" else []
    refused(vertebra(command, run, *arguments), "best/model.safetensors is damaged: it")


@pytest.mark.parametrize("name", ["recipe.json", "classes.json", "preprocess.json"])
def test_a_damaged_file_of_a_run_is_refused_by_name(trained, tmp_path, name):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    (run / name).write_text("{", encoding="utf-8")
    refused(vertebra("evaluate", run), f"{name} cannot be read as JSON")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--split=test"], "there is no split 'test' here; choose one of train, minival, val"),
        (["nowhere"], "nowhere does not exist"),
        (["digits"], "have the classes '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' that the"),
        (["--device=cuda:99"], "device 'cuda:99' is not there"),
    ],
)
def test_what_a_run_cannot_be_judged_on_is_refused(elsewhere, trained, arguments, told):
    refused(vertebra("evaluate", trained[0], *arguments), told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["models", "resnet5"], "unknown model 'resnet5'; did you mean 'resnet50'?"),
        (["models", "resnet18", "--image-size=0"], "image_size=0; give at least 1 pixel"),
        (["models", "resnet18", "--classes=0"], "the head has classes=0"),
        (["recipes", "show"], "got 0 names; write `vertebra recipes show A`"),
        (["recipes", "diff", "small"], "got 1 names; write `vertebra recipes diff A B`"),
        (["recipes", "diff", "small", "smal"], "unknown recipe 'smal'; did you mean 'small'?"),
    ],
)
def test_names_on_no_shelf_are_refused(arguments, told):
    refused(vertebra(*arguments), told)


def test_a_full_disk_stops_the_run_and_costs_nothing_of_it(elsewhere, album, trained, monkeypatch):
    """The second save of the best weights fails: the first stays, and the run goes on later."""
    free, asked = disk._free, []

    def filling(path):
        asked.append(path)
        return 0 if len(asked) > 1 else free(path)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "_free", filling)
        said = vertebra("train", album, "--out=run", "--epochs=2", *TINY)
    refused(said, "no space left: run/checkpoints/")
    assert "then go on from the last save, which is intact" in said.err
    assert vertebra("evaluate", "run").code == 0
    said = vertebra("resume", "run")
    assert said.code == 0, said.err
    weights = "checkpoints/best/model.safetensors"
    assert (Path("run") / weights).read_bytes() == (trained[0] / weights).read_bytes()


def test_a_broken_last_save_is_refused_and_left_alone(elsewhere, album, monkeypatch):
    needs_weights = Saver.needs_weights

    def stopping(self, progress):
        self._interrupts.asked = "SIGTERM" if progress.step == 3 else None
        return needs_weights(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Saver, "needs_weights", stopping)
        assert vertebra("train", album, "--out=run", "--epochs=2", *TINY).code == 75
    file = Path("run/checkpoints/last/state.json")
    file.write_bytes(file.read_bytes()[:-1])
    before = contents(Path("run"))
    refused(vertebra("resume", "run"), "last/state.json is damaged: it has")
    assert contents(Path("run")) == before


def test_a_port_that_is_taken_is_told(elsewhere, album, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        said = vertebra("train", album, "--out=run", "--set=length=1 step", *TINY)
    refused(said, f"could not join at 127.0.0.1:{port}")
    assert "choose a free MASTER_PORT" in said.err
    assert not Path("run").exists()
