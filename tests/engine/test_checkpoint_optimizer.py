import json
from pathlib import Path

import pytest
import torch
from tests.engine.numbered import assert_exactly
from torch import nn

from vertebra.contracts import split_by_decay
from vertebra.engine import checkpoint
from vertebra.engine.optimizers import LARS, SGD, AdamW, OptimizerSpec
from vertebra.errors import CheckpointError

SPECS = [SGD(lr=0.1), SGD(lr=0.1, momentum=0, nesterov=False), AdamW(lr=0.01), LARS(lr=0.5)]


class Trained:
    """A small channels-last network and its optimizer."""

    def __init__(self, spec: OptimizerSpec, device: str, *, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
        self.network.to(memory_format=torch.channels_last)
        self.optimizer = spec.build(split_by_decay(self.network), torch.device(device))

    def train(self, *seeds: int) -> None:
        for seed in seeds:
            images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
            self.network(images).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


def save_and_restore(source: Trained, target: Trained, directory: Path) -> None:
    moments, rest = checkpoint.flatten_optimizer(source.optimizer)
    tensors = {"model": source.network.state_dict(), "optimizer": moments}
    checkpoint.save(directory, tensors=tensors, state={"optimizer": rest})
    loaded = checkpoint.load(directory)
    target.network.load_state_dict(loaded.tensors["model"])
    checkpoint.restore_optimizer(
        target.optimizer, loaded.tensors["optimizer"], loaded.state["optimizer"]
    )


@pytest.mark.parametrize("device", ["cpu", "meta"], ids=["fused", "foreach"])
@pytest.mark.parametrize("spec", SPECS)
def test_a_restored_optimizer_goes_on_bitwise(tmp_path: Path, spec: OptimizerSpec, device: str):
    whole = Trained(spec, device, seed=0)
    whole.train(1, 2)
    whole.optimizer.param_groups[1]["lr"] = 0.03
    resumed = Trained(spec, device, seed=9)
    save_and_restore(whole, resumed, tmp_path / "last")
    assert resumed.optimizer.param_groups[1]["lr"] == 0.03
    for trained in (whole, resumed):
        trained.train(3, 4)
    assert_exactly(whole.network.state_dict(), resumed.network.state_dict())
    ours, theirs = (checkpoint.flatten_optimizer(it.optimizer) for it in (whole, resumed))
    assert_exactly(ours[0], theirs[0])
    assert ours[1] == theirs[1]


def test_a_restored_optimizer_keeps_its_own_kernel_and_memory_order(tmp_path: Path):
    fused, foreach = (Trained(AdamW(lr=0.01), device, seed=0) for device in ("cpu", "meta"))
    fused.train(1)
    save_and_restore(fused, foreach, tmp_path / "last")
    group = foreach.optimizer.param_groups[0]
    assert (group["fused"], group["foreach"]) == (None, True)
    assert isinstance(group["betas"], tuple)
    for parameter, state in foreach.optimizer.state.items():
        assert state["exp_avg"].stride() == parameter.stride()


def test_a_restored_optimizer_shares_no_memory_with_the_checkpoint():
    source, target = (Trained(SGD(lr=0.1), "cpu", seed=seed) for seed in (0, 1))
    source.train(1)
    moments, rest = checkpoint.flatten_optimizer(source.optimizer)
    before = {name: value.clone() for name, value in moments.items()}
    checkpoint.restore_optimizer(target.optimizer, moments, rest)
    target.train(2)
    assert_exactly(moments, before)


def test_the_rest_of_an_optimizer_is_json():
    trained = Trained(AdamW(lr=0.01), "cpu", seed=0)
    trained.train(1)
    _, rest = checkpoint.flatten_optimizer(trained.optimizer)
    assert json.loads(json.dumps(rest))["type"] == "AdamW"


def test_the_state_of_another_optimizer_or_network_is_refused():
    sgd, adam = Trained(SGD(lr=0.1), "cpu", seed=0), Trained(AdamW(lr=0.1), "cpu", seed=0)
    with pytest.raises(
        CheckpointError,
        match=r"SGD of weights \(2\), norms and biases \(4\), but AdamW of .*resume",
    ):
        checkpoint.restore_optimizer(adam.optimizer, *checkpoint.flatten_optimizer(sgd.optimizer))
    moments, rest = checkpoint.flatten_optimizer(sgd.optimizer)
    moments["0.momentum_buffer"] = torch.zeros(4, 3, 5, 5)
    with pytest.raises(
        CheckpointError, match=r"0\.momentum_buffer \[4, 3, 5, 5\], but \[4, 3, 3, 3\]"
    ):
        checkpoint.restore_optimizer(sgd.optimizer, moments, rest)
