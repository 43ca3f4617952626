"""Networks that are co-trained learn where a bright square stands, on drawn images, in seconds."""

import pytest
import torch
from tests.smoke.square import learnt, plain

from vertebra.data.crops import PadCrop
from vertebra.recipes.deploy import load_run
from vertebra.recipes.follow import follow
from vertebra.recipes.recipe import Pretrained
from vertebra.recipes.start import look_up
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

pytestmark = pytest.mark.usefixtures("no_page")


@pytest.mark.parametrize("networks", [2, 3])
def test_it_learns_where_the_square_is(networks, tmp_path):
    cropped = plain({"data.augment.crop": PadCrop(padding=1)})
    recipe = learn(cropped, "co-training", Wishes()).recipe
    recipe = follow(vary(recipe, {"model.networks": networks})).recipe
    record = learnt(recipe, tmp_path / "run")
    assert record.figures["top1"] >= 0.7
    assert record.model.startswith(f"{networks} x resnet18 with")
    deployed = load_run(tmp_path / "run", device="cpu").model
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        vector = deployed.backbone(images).vector
        torch.testing.assert_close(deployed(images), deployed.head.each(vector).mean(0))
    start = look_up(recipe, Pretrained(weights=str(tmp_path / "run")))
    assert start.notes[0].startswith(f"starts from {tmp_path / 'run'} ({networks} x resnet18")
