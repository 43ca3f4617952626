"""`vertebra probe`: one table, the same as JSON, and one sentence for what cannot be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.conftest import vertebra

from vertebra.tasks.linear_probe import LinearProbe


@pytest.fixture
def quick(monkeypatch):
    """A linear map is learnt in a few updates."""
    fit, few = LinearProbe.fit, {"rates": (1.0, 3.0), "epochs": 1, "updates": 20}
    monkeypatch.setattr(
        LinearProbe, "fit", lambda self, *given, **named: fit(replace(self, **few), *given, **named)
    )


def hashes(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_table_has_the_backbone_and_fresh_weights_and_the_run_stays(trained, album, quick):
    before = hashes(trained[0])
    said = vertebra("probe", trained[0], album)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].split("  ")[0] == "top-1 on 18 images of val"
    assert lines[0].split()[-4:] == ["20", "neighbours", "linear", "map"]
    assert [line.split("  ")[0] for line in lines[1:3]] == [str(trained[0]), "fresh weights"]
    assert lines[1].count("%") == 2
    assert "95% intervals over images are at most" in said.out
    assert "chosen on 3 images of minival" in said.out
    assert hashes(trained[0]) == before


def test_one_protocol_alone_and_json(trained, album):
    said = vertebra("probe", trained[0], album, "--neighbours=5", "--json")
    found = json.loads(said.out)
    assert (found["split"], found["n"], found["neighbours"]) == ("val", 18, 5)
    assert [each["backbone"] for each in found["backbones"]] == [str(trained[0]), "fresh weights"]
    assert all(each["linear"] is None for each in found["backbones"])
    assert all(0 <= each["neighbours"] <= 1 for each in found["backbones"])
    assert found["few_labels"] == []


def test_few_labels_leave_a_run_for_each_start(trained, album, elsewhere, monkeypatch):
    monkeypatch.setattr("vertebra.recipes.run.write_report", lambda place: None)
    words = ["--neighbours=1", "--fractions", "0.1", "--seeds=1"]
    said = vertebra("probe", trained[0], album, *words)
    assert said.code == 0, said.err
    assert "10% of labels" in said.out.splitlines()[0]
    assert "1 draw; runs in runs/album-probe-1" in said.out
    runs = sorted(path.name for path in Path("runs/album-probe-1").iterdir())
    assert runs == ["fine-tuned-0.1-0", "from-scratch-0.1-0"]
    again = vertebra("probe", trained[0], album, *words, "--out=runs/album-probe-1", "--json")
    found = json.loads(again.out)["few_labels"]
    assert [each["images"] for each in found] == [3, 3]
    for each in found:
        record = json.loads((Path(each["directory"]) / "record.json").read_text())
        assert record["figures"]["top1"] == each["top1"]
        assert record["data"]["train"]["left_out"] == 30


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["RUN", "nowhere"], "nowhere does not exist"),
        ([".", "digits"], ". is no run directory"),
        (["resnet5", "digits"], "unknown model 'resnet5'; did you mean 'resnet50'?"),
        (["RUN", "digits", "--neighbours=0"], "neighbours=0; give at least 1"),
        (["RUN", "digits", "--fractions", "2"], "fraction 2.0; give shares above 0, at most 1"),
        (["RUN", "digits", "--fractions", "0.1", "--seeds=0"], "seeds=0; give at least 1"),
        (["RUN", "digits", "--out=x"], "--out is for the runs of --fractions"),
        (["RUN", "digits", "--precision=bf16"], "--precision is for the runs of --fractions"),
        (["RUN", "digits", "--weights=a1_in1k"], "leave out --weights"),
        (["RUN", "LOOSE"], "no class folders"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(elsewhere, trained, album, words, told):
    places = {"RUN": trained[0], "LOOSE": album / "val" / "left"}
    said = vertebra("probe", *(places.get(word, word) for word in words))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ") and told in said.err
    assert said.err.count("\n") == 1
    assert list(elsewhere.iterdir()) == []
