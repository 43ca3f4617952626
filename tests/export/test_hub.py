"""A run that is published and brought back is the same run, and nothing private travels with it."""

import json

import pytest
import torch
from tests.export.drawn import CLASSES, RECORD, WEIGHTS, FolderHub, write_run

from vertebra.engine import checkpoint, tensorfile
from vertebra.errors import CheckpointError, DeviceError
from vertebra.export.hub import FILES, pull, push, require_repository
from vertebra.export.published import write_published
from vertebra.records import RunDirectory, read_json, read_record, write_record

NAME = "ada/ants-bees"
PRIVATE = ("/srv", "patients", "runs/", "lovelace", "turing", "hopper", "base64")


@pytest.fixture
def hub(tmp_path) -> FolderHub:
    """A hub that holds one run."""
    hub = FolderHub(tmp_path / "hub")
    run = write_run(tmp_path / "run")
    assert push(hub, run, NAME, licence="mit", private=True) == f"hub:{NAME}"
    return hub


@pytest.fixture
def out(tmp_path) -> RunDirectory:
    """The place of a run that is not there yet."""
    return RunDirectory(tmp_path / "here" / "run")


def listing(place):
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


def test_a_pulled_run_has_the_weights_names_and_figures_of_the_pushed_one(hub, out):
    checked = []
    pull(hub, NAME, out, check=lambda path: checked.append(listing(path)))
    best = checkpoint.load(out.checkpoints / "best")
    assert best.tensors["model"].keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        assert torch.equal(best.tensors["model"][name], value)
    assert best.state == {"best_step": 90, "best": RECORD.selection}
    assert read_json(out.classes) == list(CLASSES)
    record = read_record(out)
    assert (record.figures, record.selection) == (RECORD.figures, RECORD.selection)
    assert (record.licence, record.pretrained) == ("mit", RECORD.pretrained)
    assert checked == [listing(out.path)]
    assert [path.name for path in out.path.parent.iterdir()] == ["run"]


def test_nothing_private_is_pushed(hub):
    for name in FILES:
        content = (hub.root / NAME / name).read_bytes().decode(errors="replace")
        assert [word for word in PRIVATE if word in content] == [], name
    record = json.loads((hub.root / NAME / "record.json").read_text())
    assert record["data"]["train"]["refused"] == [
        {"name": "(withheld)", "reason": "the file is empty"}
    ]
    assert record["recipe"]["phases"][0]["data"]["source"] == "ants-bees"
    assert record["recipe"]["pretrained"]["weights"] == "ants-1"


def test_only_known_files_are_fetched(hub, out):
    (hub.root / NAME / "setup.py").write_text("raise SystemExit")
    pull(hub, NAME, out, check=listing)
    assert "setup.py" not in listing(out.path)
    assert set(hub.asked) == set(FILES) - {"README.md"}


def test_a_repository_is_private_where_asked_and_is_not_overwritten_unawares(hub, tmp_path):
    assert hub.private == {NAME: True}
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(CheckpointError, match="it exists already"):
        push(hub, run, NAME, licence="mit")
    push(hub, run, NAME, licence="cc-by-4.0", update=True)
    assert json.loads((hub.root / NAME / "record.json").read_text())["licence"] == "cc-by-4.0"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("recipe.json", b"{", "recipe.json cannot be read as JSON"),
        ("classes.json", b"[" * 100_000, "classes.json is nested too deeply"),
        ("preprocess.json", b" " * (2**24 + 1), "preprocess.json has more than 16777216 bytes"),
        ("record.json", b"[1]", "record.json is no run record"),
        ("model.safetensors", b"\x80\x04pickle", "cannot be read as .safetensors"),
        ("recipe.json", None, "no recipe.json"),
    ],
)
def test_what_is_no_run_is_refused_and_leaves_nothing(hub, out, name, content, told):
    path = hub.root / NAME / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=told):
        pull(hub, NAME, out, check=listing)
    assert [*out.path.parent.iterdir()] == []


def test_a_link_in_the_place_of_a_file_is_refused(hub, out, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    path = hub.root / NAME / "recipe.json"
    path.unlink()
    path.symlink_to(tmp_path / "secret.json")
    with pytest.raises(CheckpointError, match="no plain file recipe"):
        pull(hub, NAME, out, check=listing)
    assert not out.path.exists()


def test_weights_that_were_changed_on_the_way_are_refused(hub, out):
    path = hub.root / NAME / "model.safetensors"
    tensors, metadata = tensorfile.read(path)
    tensorfile.write(path, {name: value + 1 for name, value in tensors.items()}, metadata)
    with pytest.raises(CheckpointError, match="its tensors differ from their SHA-256"):
        pull(hub, NAME, out, check=listing)


def test_a_run_that_the_check_refuses_does_not_take_its_place(hub, out):
    def check(path):
        raise CheckpointError("the weights do not fit")

    with pytest.raises(CheckpointError, match="do not fit"):
        pull(hub, NAME, out, check=check)
    assert [*out.path.parent.iterdir()] == []


def test_a_place_that_is_taken_is_left_alone(hub, out):
    out.path.mkdir(parents=True)
    (out.path / "thesis.tex").write_text("mine")
    with pytest.raises(CheckpointError, match="not empty; choose another"):
        pull(hub, NAME, out, check=listing)
    assert hub.asked == []
    assert listing(out.path) == ["thesis.tex"]


def test_an_empty_folder_is_no_hindrance(hub, out):
    out.path.mkdir(parents=True)
    pull(hub, NAME, out, check=listing)
    assert out.record.is_file()


def test_a_run_that_has_not_finished_is_not_published(hub, tmp_path):
    run = write_run(tmp_path / "half")
    run.record.unlink()
    with pytest.raises(CheckpointError, match="the run did not finish"):
        push(hub, run, "ada/half", licence="mit")
    assert "ada/half" not in hub.private


@pytest.mark.parametrize("source", ["../runs/secret", "~/secret", "C:\\secret"])
def test_paths_of_any_kind_lose_their_folders(tmp_path, source):
    run = write_run(tmp_path / "run")
    record = read_record(run)
    record.recipe["phases"][0]["data"]["source"] = source
    write_record(run, record)
    write_published(run, tmp_path / "out", name=NAME, licence="mit")
    found = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert found["phases"][0]["data"]["source"] == "secret"


@pytest.mark.parametrize("name", ["ants", "a/b/c", "../x", "a/..", "a/b c", "/a", "a/", "é/x"])
def test_a_name_of_another_form_is_no_repository(name):
    with pytest.raises(CheckpointError, match="write OWNER/NAME"):
        require_repository(name)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run")
    monkeypatch.setattr("vertebra.engine.disk._free", lambda path: 0)
    with pytest.raises(DeviceError, match="no space left"):
        write_published(run, tmp_path / "out", name=NAME, licence="mit")
