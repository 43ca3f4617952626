"""The recipe `linear-probe`: behind a backbone that rests, only the classifier learns."""

import torch
from tests.recipes.drawn import tiny

from vertebra.engine import checkpoint
from vertebra.recipes.recipe import Pretrained
from vertebra.recipes.run import run
from vertebra.recipes.shelf import load


def weights(directory):
    return checkpoint.load(directory / "checkpoints" / "best").tensors["model"]


def test_only_the_head_moves(album, tmp_path):
    run(tiny(album), tmp_path / "before")
    pretrained = Pretrained(weights=str(tmp_path / "before"))
    changes = {"pretrained": pretrained, "fine_tuning": load("linear-probe").phases[0].fine_tuning}
    run(tiny(album, changes), tmp_path / "after")
    before, after = weights(tmp_path / "before"), weights(tmp_path / "after")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head.fc.weight", "head.fc.bias"}
