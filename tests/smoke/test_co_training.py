"""Networks that are co-trained learn where a bright square stands, on drawn images, in seconds."""

from pathlib import Path

import pytest
import torch
from tests.recipes.drawn import in_memory, tiny

from vertebra.data.augment import PadCrop
from vertebra.engine.optimizers import SGD
from vertebra.recipes.deploy import load_run
from vertebra.recipes.follow import follow
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Pretrained
from vertebra.recipes.run import run
from vertebra.recipes.start import look_up
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes


@pytest.mark.parametrize("networks", [2, 3])
def test_it_learns_where_the_square_is(networks, tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.recipes.run.write_report", lambda place: None)
    plain = tiny(
        Path("drawn"),
        {
            "optimizer": SGD(lr=0.05),
            "data.batch_size": 24,
            "data.augment.crop": PadCrop(padding=1),
            "length": "30 steps",
            "selection.every": "30 steps",
        },
    )
    recipe = learn(plain, "co-training", Wishes()).recipe
    recipe = follow(vary(recipe, {"model.networks": networks})).recipe
    prepared = prepare(recipe, materials=(in_memory(train=16, val=2, test=20),))
    record = run(recipe, tmp_path / "run", prepared=prepared)
    assert record.figures["top1"] >= 0.7
    assert record.model.startswith(f"{networks} x resnet18 with")
    deployed = load_run(tmp_path / "run", device="cpu").model
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        vector = deployed.backbone(images).vector
        torch.testing.assert_close(deployed(images), deployed.head.each(vector).mean(0))
    start = look_up(recipe, Pretrained(weights=str(tmp_path / "run")))
    assert start.notes[0].startswith(f"starts from {tmp_path / 'run'} ({networks} x resnet18")
