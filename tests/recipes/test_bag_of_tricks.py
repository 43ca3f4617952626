"""The published settings of Bag of Tricks and of the baseline that it starts from."""

from vertebra.contracts import Progress
from vertebra.recipes.bag_of_tricks import bag_of_tricks, baseline
from vertebra.recipes.vary import differences, leaves


def test_the_baseline_is_that_of_the_paper():
    recipe = baseline()
    found = leaves(recipe)
    expected = {
        "model.form": "A",
        "model.zero_init_last": False,
        "data.batch_size": 256,
        "data.preprocess.image_size": 224,
        "optimizer.lr": 0.1,
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 1e-4,
        "length": "120 epochs",
        "method.loss.smoothing": 0.0,
        "averaging": None,
        "data.augment.rand_augment": None,
        "data.augment.mixing": None,
    }
    assert {path: found[path] for path in expected} == expected


def test_the_baseline_divides_its_rate_by_ten_at_epochs_30_60_and_90():
    schedule = baseline().phases[0].schedule
    at = {epoch: schedule.factor(Progress(epoch * 10, 1200), 10) for epoch in (29, 30, 60, 90, 119)}
    assert {epoch: round(factor, 9) for epoch, factor in at.items()} == {
        29: 1.0,
        30: 0.1,
        60: 0.01,
        90: 0.001,
        119: 0.001,
    }


def test_the_refinements_are_the_papers_tweaks_and_tricks_and_nothing_else():
    found = differences(baseline(), bag_of_tricks())
    told = {path: pair[1] for path, pair in found.items()}
    assert told["model.form"] == "D"
    assert told["model.zero_init_last"] is True
    assert told["optimizer.nesterov"] is True
    assert told["schedule.kind"] == "Cosine"
    assert told["schedule.warmup"] == "5 epochs"
    assert told["method.loss.smoothing"] == 0.1
    assert told["data.augment.mixing.mixup"] == 0.2
    assert told["length"] == "200 epochs"
    roots = {path.split(".")[0] for path in told} - {"name", "source", "expects"}
    assert roots == {"model", "optimizer", "schedule", "method", "data", "length"}
    assert {path for path in told if path.startswith("optimizer")} == {"optimizer.nesterov"}
