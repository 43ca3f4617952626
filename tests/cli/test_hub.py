"""`vertebra hub`: what would be pushed, what is pulled, and what is refused at once."""

import shutil
import subprocess
import sys

import pytest
from tests.cli.conftest import vertebra

from vertebra.export import hugging_face
from vertebra.export.hub import FILES

NAME = "ada/album"


@pytest.fixture
def published(trained, tmp_path):
    """The folder that a push would send."""
    folder = tmp_path / "published"
    said = vertebra("hub", "push", trained[0], NAME, "--licence=mit", "--dry-run", folder)
    assert said == (0, f"{NAME} would hold what is in {folder}; nothing was sent\n", "")
    return folder


def hub_of(folder, sent):
    """Returns a class that stands for the Hub: it gives what is in the folder."""

    class Hub:
        def create(self, repository, *, private):
            sent.append((repository, private))

        def upload(self, repository, given):
            sent.append(sorted(path.name for path in given.iterdir()))
            return f"hub:{repository}"

        def download(self, repository, name, place):
            return place / shutil.copy(folder / name, place / name).name

    return Hub


def test_a_dry_run_writes_what_would_be_pushed(published):
    assert sorted(path.name for path in published.iterdir()) == sorted(FILES)
    assert 'license: "mit"' in (published / "README.md").read_text("utf-8")


def test_a_run_is_pushed_with_its_licence(trained, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(hugging_face, "HuggingFace", hub_of(tmp_path, sent))
    said = vertebra("hub", "push", trained[0], NAME, "--licence=mit", "--private")
    assert said == (0, f"hub:{NAME}\n", "")
    assert sent == [(NAME, True), sorted(FILES)]
    vertebra("hub", "push", trained[0], NAME, "--licence=mit", "--update")
    assert len(sent) == 3, "an update makes no repository"


def test_a_pulled_run_predicts_and_evaluates_as_the_one_at_home(
    trained, album, published, elsewhere, monkeypatch
):
    monkeypatch.setattr(hugging_face, "HuggingFace", hub_of(published, []))
    said = vertebra("hub", "pull", NAME)
    assert said.code == 0, said.err
    assert said.out.startswith("runs/album: resnetrs26 with ")
    assert "licence mit\n" in said.out and "vertebra predict runs/album IMAGE" in said.out
    picture = album / "val" / "left" / "0.png"
    assert vertebra("predict", "runs/album", picture) == vertebra("predict", trained[0], picture)
    here = vertebra("evaluate", "runs/album", album, "--split=val", "--json")
    home = vertebra("evaluate", trained[0], album, "--split=val", "--json")
    assert here == home and here.code == 0


def test_a_pulled_run_is_one_to_start_from(published, album, elsewhere, monkeypatch):
    monkeypatch.setattr(hugging_face, "HuggingFace", hub_of(published, []))
    vertebra("hub", "pull", NAME, "--out=mine")
    flags = ["--workers=0", "--device=cpu", "--set=length=1 step"]
    said = vertebra("train", album, "--weights=mine", "--out=run", *flags)
    assert said.code == 0, said.err
    assert "starts from   the run mine, licence mit" in said.out


def test_weights_that_do_not_fit_their_recipe_are_not_taken(published, elsewhere, monkeypatch):
    recipe = published / "recipe.json"
    recipe.write_text(recipe.read_text("utf-8").replace('"width": 0.125', '"width": 0.25'))
    monkeypatch.setattr(hugging_face, "HuggingFace", hub_of(published, []))
    said = vertebra("hub", "pull", NAME, "--out=mine")
    assert said.code == 2 and "do not fit the recipe" in said.err
    assert [*elsewhere.iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["push", "RUN", NAME], "give --licence with one of apache-2.0, mit"),
        (["push", "RUN", NAME, "--licence=MTI"], "unknown licence 'MTI'; did you mean 'mit'?"),
        (["push", "RUN"], "`vertebra hub push` got 1 names; write `vertebra hub push RUN OWNER/"),
        (["push", "RUN", "album", "--licence=mit"], "'album' is no repository; write OWNER/NAME"),
        (["push", "nowhere", NAME, "--licence=mit"], "nowhere is no run directory"),
        (["pull"], "`vertebra hub pull` got 0 names; write `vertebra hub pull OWNER/NAME`"),
        (["pull", "../x"], "'../x' is no repository"),
        (["pull", NAME, "--out=RUN"], "is not empty; choose another folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    trained, elsewhere, monkeypatch, arguments, told
):
    monkeypatch.setattr(hugging_face, "HuggingFace", lambda: None)
    said = vertebra("hub", *(each.replace("RUN", str(trained[0])) for each in arguments))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ") and told in said.err


def test_a_missing_licence_is_told_without_torch(tmp_path):
    code = (
        "import sys\nfrom vertebra.cli.main import command\n"
        "command(['hub', 'push', 'x', 'a/b'])\nprint('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.stdout == "False\n"
