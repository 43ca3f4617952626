"""Records of every kind as points, what may be drawn together, and what the fronts say."""

import pytest
from tests.studies.kept import CPU, bench, keep_run, keep_study
from tests.studies.made import RECIPE

from vertebra.bench.record import to_csv, to_data
from vertebra.errors import CheckpointError, RecipeError
from vertebra.models.published import published_of
from vertebra.recipes.vary import vary
from vertebra.records import write_json, write_text
from vertebra.report.measured import Measured
from vertebra.studies import points as points_module
from vertebra.studies.costs import Cost
from vertebra.studies.pareto import fronts, read_fronts
from vertebra.studies.pareto_page import pareto_page
from vertebra.studies.point import Point
from vertebra.studies.points import read_points, with_latency

GHOST = published_of("ghostnet_050")[0]


def point(name, top1, *, on="cpu: x86_64, 2 threads", data="photos, val", runs=1, **figures):
    named = {"train_seconds": on, "latency_ms": on, "top1": data}
    return Point(
        measured=Measured(
            name=name, image_size=32, family="runs", figures=figures, top1=top1, origin=data
        ),
        conditions=named,
        runs=runs,
    )


def names(found):
    return [each.measured.name for each in found]


def test_a_run_has_the_figures_of_its_record(tmp_path):
    run = keep_run(tmp_path / "a", 0.75, train_seconds=90.0, parameters=7)
    ((only,), left_out) = read_points([run])
    assert left_out == []
    assert (only.measured.name, only.measured.image_size, only.top1) == ("a", 224, 0.75)
    assert only.figure("train_seconds") == 90
    assert only.measured.figures["parameters"] == 7 and only.figure("latency_ms") is None
    assert only.measured.origin == "digits, test, 1 run"
    assert only.conditions["train_seconds"] == "cpu: x86_64, 2 threads"
    assert (only.classes, only.recipe) == (2, RECIPE)


def test_a_row_of_a_study_is_the_mean_of_its_runs(tmp_path):
    facts = {**CPU, "precision": "fp32"}
    places = {"first": {"role": "step", "part": "", "latency_ms": 3.5}}
    found = {"first": [0.4, 0.6], "second": [0.7, None], "third": [None, None]}
    study = keep_study(tmp_path / "study", found, places=places, facts=facts)
    (first, second), left_out = read_points([study])
    assert first.top1.mean == pytest.approx(0.5) and first.top1.n == first.runs == 2
    assert first.top1.half == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert first.figure("latency_ms") == 3.5
    assert first.conditions["latency_ms"] == "cpu: x86_64, 2 threads, 1 image a call"
    assert (second.runs, second.top1, second.measured.family) == (1, 0.7, "study")
    assert left_out == [f"{study}, third has no figure."]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_bench_result_has_the_papers_accuracy(tmp_path, kind):
    file = tmp_path / f"bench.{kind}"
    known = bench("ghostnet_050", image_size=GHOST.image_size)
    fused = bench("ghostnet_050", image_size=GHOST.image_size, fused=True, precision="bf16")
    records = [known, fused, bench("resnet18", image_size=40)]
    if kind == "json":
        write_json(file, [to_data(each) for each in records])
    else:
        write_text(file, to_csv(records))
    (plain, other), left_out = read_points([file])
    assert plain.top1 == GHOST.top1 and plain.measured.family == "GhostNet"
    assert other.measured.name == "ghostnet_050 bf16 fused"
    assert plain.figure("latency_ms") == 5 and plain.figure("image_ms") == 5
    assert plain.figure("macs") == 4e6 and plain.figure("activations") == 3e3
    assert plain.conditions["top1"] == "ImageNet, published"
    assert plain.conditions["latency_ms"] == "cpu: x86_64, 2 threads, 1 image a call"
    assert left_out == ["resnet18 at 40 px has no accuracy."]


def test_a_bench_result_of_a_run_joins_the_run(tmp_path):
    run = keep_run(tmp_path / "runs" / "a", 0.75)
    file = tmp_path / "bench.json"
    write_json(file, [to_data(bench(str(run), image_size=32))])
    for paths in ([run, file], [file, run], [file]):
        ((only,), _) = read_points(paths)
        assert (only.measured.name, only.top1) == ("a", 0.75)
        assert only.figure("latency_ms") == 5 and only.figure("train_seconds") is not None
        assert only.measured.figures["macs"] == 1_000_000  # the run's own count stays


def test_equal_names_get_their_folders(tmp_path):
    runs = [keep_run(tmp_path / above / "run-1") for above in ("a", "b")]
    studies = [keep_study(tmp_path / name, {"base": [0.5]}) for name in ("x", "y")]
    found, _ = read_points([*runs, *studies, keep_run(tmp_path / "alone")])
    assert names(found) == ["a/run-1", "b/run-1", "x/base", "y/base", "alone"]


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(CheckpointError, match="photos is no run, no study and no result"):
        read_points([tmp_path / "photos"])
    write_json(tmp_path / "a.json", {"kind": "Recipe"})
    with pytest.raises(CheckpointError, match=r"a.json is no list of results"):
        read_points([tmp_path / "a.json"])
    write_text(tmp_path / "b.csv", "path,label\nx,y\n")
    with pytest.raises(CheckpointError, match=r"b.csv is no table of results"):
        read_points([tmp_path / "b.csv"])


def test_runs_without_an_accuracy_are_left_out_and_alone_refused(tmp_path):
    run = keep_run(tmp_path / "ready")
    half = keep_run(tmp_path / "half")
    (half / "record.json").unlink()
    blind = keep_run(tmp_path / "blind", None)
    found, left_out = read_points([run, half, blind])
    assert names(found) == ["ready"]
    assert left_out == [f"{half} has not finished.", f"{blind} has no top-1 accuracy."]
    with pytest.raises(RecipeError, match=r"no record has an accuracy \(.*half has not finished\)"):
        read_points([half])


def test_only_what_was_trained_and_has_no_latency_is_timed(tmp_path, monkeypatch):
    asked = []

    def costs_of(recipes, *, classes, on_progress):
        asked.append(([each.execution.precision for each in recipes], classes))
        return [Cost(1, 2, 9.0) for _ in recipes]

    monkeypatch.setattr(points_module, "costs_of", costs_of)
    bf16 = vary(RECIPE, {"execution.precision": "bf16"})
    found, _ = read_points([keep_run(tmp_path / "a", recipe=bf16), keep_run(tmp_path / "b")])
    found[1] = found[1].completed({"latency_ms": 4.0}, {"latency_ms": "there"})
    timed = with_latency([*found, point("model", 0.5)], device="cpu")
    assert asked == [(["fp32"], [2])]
    assert [each.figure("latency_ms") for each in timed] == [9.0, 4.0, None]
    assert timed[0].measured.figures["macs"] == 1_000_000  # the record's stays
    assert "1 image a call" in timed[0].conditions["latency_ms"]
    assert with_latency([timed[0]]) == [timed[0]] and len(asked) == 1


def test_each_cost_has_a_front_of_its_own():
    small = point("small", 0.6, macs=1e9, train_seconds=60.0)
    large = point("large", 0.8, macs=4e9, train_seconds=50.0)
    poor = point("poor", 0.5, macs=2e9)
    found = fronts([small, large, poor])
    assert list(found.drawn) == ["macs", "train_seconds"]
    assert names(found.drawn["train_seconds"]) == ["small", "large"]
    assert names(found.best["macs"]) == ["small", "large"]
    assert names(found.best["train_seconds"]) == ["large"]
    reading = read_fronts(found, ["x has not finished."])
    assert reading.findings[0] == (
        "By MACs 2 of 3 are on the front: small (60.00%); large (80.00%)."
    )
    assert "3 records are of one run each" in reading.findings[2]
    assert reading.findings[-1] == "Left out: x has not finished."
    fronts_table, whole = reading.tables
    assert fronts_table.texts() == [
        ["small", "32", "60.00%", "1 *", "1"],
        ["large", "32", "80.00%", "4 *", "0.8333 *"],
    ]
    assert [row[2] for row in whole.texts()] == ["MACs", "MACs, time in training", ""]


def test_times_of_several_devices_are_not_mixed():
    here = [point(f"here {n}", 0.5 + n / 10, macs=n, train_seconds=n) for n in (1, 2)]
    there = point("there", 0.9, on="cuda: H100", macs=3, train_seconds=0.1)
    found = fronts([there, *here])
    assert names(found.drawn["train_seconds"]) == ["here 1", "here 2"]
    assert names(found.drawn["macs"]) == ["there", "here 1", "here 2"]
    assert found.left_out == (
        "Not drawn against time in training: there. Their time in training is of cuda: H100, the "
        "others' of cpu: x86_64, 2 threads.",
    )
    assert found.left_out[0] in read_fronts(found).findings
    row = read_fronts(found).tables[0].texts()[0]
    assert row[0] == "there" and row[-1] == "-"


def test_accuracies_of_other_data_are_not_mixed():
    ours = [point(f"ours {n}", 0.5, macs=n) for n in (1, 2)]
    found = fronts([*ours, point("theirs", 0.9, data="ImageNet, published", runs=0, macs=1)])
    assert names(found.points) == ["ours 1", "ours 2"]
    assert found.left_out == (
        "Not drawn: theirs. Their accuracy is of ImageNet, published, the others' of photos, val.",
    )


def test_many_names_are_counted():
    found = fronts([point(f"m{n}", n / 10, macs=n) for n in range(1, 10)])
    assert read_fronts(found).findings[0].endswith("m6 (60.00%); 3 more.")


def test_the_page_has_a_figure_for_each_cost_and_pales_what_is_dominated(monkeypatch):
    monkeypatch.setattr("vertebra.report.document.get_plotlyjs", lambda: "/* plotly */")
    drawn: list[str] = []
    monkeypatch.setattr(
        "vertebra.studies.pareto_page.document",
        lambda title, body, *, figures: drawn.append(figures) or str(body),
    )
    found = fronts(
        [
            point("<b>good", 0.6, macs=1e9, train_seconds=60.0),
            point("poor", 0.5, macs=2e9, train_seconds=1.0),
        ]
    )
    page = pareto_page(found, read_fronts(found), title="Which?", command="vertebra study pareto")
    (figures,) = drawn
    assert list(figures) == ["macs", "train_seconds"]
    line, markers = figures["macs"]["data"]
    assert line["x"] == [1] and markers["marker"]["opacity"] == [1.0, 0.35]
    assert "&lt;b&gt;good" in markers["text"][0] and "time in training 1 min" in markers["text"][0]
    assert figures["macs"]["layout"]["yaxis"]["title"]["text"] == "top-1 accuracy"
    assert '<option value="train_seconds">time in training</option>' in page
    assert "&lt;b&gt;good" in page and "<b>good" not in page
    assert "cpu: x86_64, 2 threads" in page
