"""A study's directory: opened, continued, refused; names; rows that share a run."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.studies.made import RECIPE, record

from vertebra.errors import CheckpointError, RecipeError
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import vary
from vertebra.records import write_json, write_record
from vertebra.studies.place import StudyDirectory, runs_of, slug
from vertebra.studies.results import read_results
from vertebra.studies.study import Cell, Study, study_from_data, study_to_data

WIDE = vary(RECIPE, {"model.width": 0.25})
CELLS = (
    Cell(name="plain", recipe=RECIPE, place={"role": "step"}, published=0.79),
    Cell(name="+ Wide, twice", recipe=WIDE),
)
STUDY = Study(
    kind="ablate",
    question="What helps?",
    cells=CELLS,
    seeds=(0, 2),
    source="a paper",
    command="vertebra study ablate a b",
    threads=1,
    facts={"note": "none"},
)


@pytest.fixture
def place(tmp_path):
    """A folder for a study, not there yet."""
    return StudyDirectory(tmp_path / "study")


def test_a_study_is_read_back_as_it_was_opened(place):
    place.open(STUDY)
    assert place.read() == STUDY
    assert study_from_data(study_to_data(STUDY)) == STUDY


def test_the_same_again_goes_on(place):
    place.open(STUDY)
    place.open(STUDY)
    assert place.read() == STUDY


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (0, 1, 2, 3)},
        {"cells": CELLS[:1]},
        {"cells": (*CELLS, Cell(name="+ more", recipe=RECIPE))},
        {"question": "What else?", "command": "vertebra study ablate b a"},
        {"cells": (replace(CELLS[0], recipe=vary(RECIPE, {"name": "other", "source": "x"})),)},
    ],
    ids=["more seeds", "a row less", "a row more", "another question", "a recipe renamed"],
)
def test_a_study_may_grow_and_shrink(place, changes):
    place.open(STUDY)
    grown = replace(STUDY, **changes)
    place.open(grown)
    assert place.read() == grown


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "scale"}, "holds a study of another kind, ablate; choose another folder"),
        ({"threads": 2}, "was made with threads=1, not 2, and rounding depends on it"),
        (
            {"cells": (replace(CELLS[0], recipe=WIDE),)},
            "holds another recipe under the name 'plain'; choose another folder",
        ),
    ],
)
def test_a_study_that_asks_something_else_is_refused_and_the_old_one_stays(place, changes, told):
    place.open(STUDY)
    with pytest.raises(CheckpointError) as refused:
        place.open(replace(STUDY, **changes))
    assert told in str(refused.value)
    assert place.read() == STUDY


def test_a_folder_with_something_else_is_refused_and_left_alone(place):
    place.path.mkdir()
    kept = place.path / "thesis.txt"
    kept.write_text("mine", encoding="utf-8")
    with pytest.raises(CheckpointError, match="is not empty; choose another folder"):
        place.open(STUDY)
    assert [path.name for path in place.path.iterdir()] == ["thesis.txt"]
    with pytest.raises(CheckpointError, match="is not empty"):
        StudyDirectory(kept).open(STUDY)
    assert kept.read_text(encoding="utf-8") == "mine"


def test_a_folder_without_a_study_cannot_be_read(place):
    with pytest.raises(CheckpointError, match=r"is no study \(it has no study.json\); give a fold"):
        place.read()


@pytest.mark.parametrize("broken", [{}, {"cells": 3}, [], {"cells": [{"name": "a"}]}], ids=str)
def test_a_study_that_is_none_is_refused(broken):
    with pytest.raises(RecipeError, match="the study cannot be read"):
        study_from_data(broken)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cells": ()}, "a study has nothing to run"),
        ({"seeds": ()}, "a study has no seeds"),
        ({"seeds": (1, 1)}, r"seeds=\(1, 1\); give different ones of zero or more"),
        ({"seeds": (-1,)}, "give different ones of zero or more"),
        ({"threads": 0}, "threads=0; give at least 1"),
        ({"cells": (CELLS[0], CELLS[0])}, "two rows are called 'plain'; give each its own name"),
    ],
)
def test_a_study_that_cannot_be_is_refused(changes, told):
    with pytest.raises(RecipeError, match=told):
        replace(STUDY, **changes)


def test_a_row_that_cannot_run_is_named_before_any_has():
    fixmatch = replace(
        load("fixmatch"), phases=(replace(load("fixmatch").phases[0], data=RECIPE.phases[0].data),)
    )
    study = replace(STUDY, cells=(CELLS[0], Cell(name="+ fish", recipe=fixmatch)))
    with pytest.raises(RecipeError, match=r"'\+ fish' cannot run: "):
        study.check()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("+ ResNet-D", "resnet-d"),
        ("width 0.25, depth 2", "width-0.25-depth-2"),
        ("../../etc", "etc"),
        ("+ +", "row"),
        ("Größe", "gr-e"),
        ("a/b\\c:d", "a-b-c-d"),
    ],
)
def test_a_name_becomes_a_folder(name, folder):
    assert slug(name) == folder


def test_runs_come_seed_by_seed_each_with_its_recipe():
    planned = list(runs_of(STUDY))
    assert [each.name for each in planned] == [
        "plain-0",
        "wide-twice-0",
        "plain-2",
        "wide-twice-2",
    ]
    assert [each.recipe for each in planned[2:]] == [
        vary(RECIPE, {"seed": 2}),
        vary(WIDE, {"seed": 2}),
    ]


def test_rows_with_the_same_recipe_share_their_runs():
    renamed = vary(RECIPE, {"name": "b", "source": "elsewhere", "expects.cost": "much"})
    study = replace(STUDY, cells=(*CELLS, Cell(name="same", recipe=renamed)))
    names = {(each.cell.name, each.seed): each.name for each in runs_of(study)}
    assert names["same", 0] == names["plain", 0] == "plain-0"
    assert names["same", 2] == "plain-2" and names["+ Wide, twice", 0] == "wide-twice-0"


def test_rows_whose_names_make_the_same_folder_are_refused(place):
    cells = (Cell(name="+ wide", recipe=WIDE), Cell(name="wide!", recipe=RECIPE))
    with pytest.raises(
        RecipeError, match=r"rows '\+ wide' and 'wide!' would share the folder 'wide'"
    ):
        place.open(replace(STUDY, cells=cells))
    place.open(replace(STUDY, cells=cells[:1]))
    with pytest.raises(CheckpointError, match="another recipe under the name 'wide!'"):
        place.open(replace(STUDY, cells=cells[1:]))


def test_results_have_what_is_there_and_why_the_rest_is_not(place):
    study = replace(STUDY, cells=(*CELLS, Cell(name="same", recipe=RECIPE)))
    place.open(study)
    made = place.run("plain-0")
    made.path.mkdir(parents=True)
    write_record(made, record(0.5))
    write_json(place.end("plain-2"), {"state": "failed", "reason": "no memory"})
    plain, wide, same = read_results(place).rows
    assert plain.figures() == same.figures() == {0: 0.5}
    assert [(run.state, run.reason) for run in plain.runs] == [
        ("finished", ""),
        ("failed", "no memory"),
    ]
    assert [(run.state, run.reason) for run in wide.runs] == [("missing", "not run yet")] * 2


def test_a_study_without_a_folder_takes_the_next_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert StudyDirectory.next("ablate", "pictures/photos.tar").path == Path(
        "studies/ablate-photos-1"
    )
    Path("studies/ablate-photos-1").mkdir(parents=True)
    assert StudyDirectory.next("ablate", "pictures/photos.tar").path == Path(
        "studies/ablate-photos-2"
    )
    assert StudyDirectory.next("scale", "digits").path == Path("studies/scale-digits-1")


def test_a_task_replays_its_recipe_from_any_folder(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = StudyDirectory(Path("study"))
    planned = next(runs_of(STUDY))
    task = relative.task(planned, threads=2)
    assert load(task.recipe) == planned.recipe
    assert task.directory == place.run("plain-0").path and task.threads == 2
    assert task.log == place.path / "logs/plain-0.txt"


def test_the_weights_of_a_run_can_be_dropped_and_its_figures_stay(place):
    made = place.run("plain-0")
    made.checkpoints.mkdir(parents=True)
    (made.checkpoints / "best").write_text("weights", encoding="utf-8")
    write_record(made, record(0.5))
    place.drop_weights("plain-0")
    place.drop_weights("never-run")
    assert place.is_finished("plain-0") and not made.checkpoints.exists()
