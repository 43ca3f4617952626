"""`vertebra doctor`: what this machine has."""

import pytest
import torch
from tests.cli.conftest import vertebra

from vertebra.cli import doctor
from vertebra.methods.supervised import SupervisedSpec


def test_a_sound_machine_makes_a_step():
    said = vertebra("doctor")
    assert said.code == 0
    found = {line[:18].strip(): line[19:] for line in said.out.splitlines()}
    assert found["torch"] == torch.__version__
    assert found["step on cpu"] == "works"
    assert {"vertebra", "python", "cpu", "disk here", "extra tensorboard"} <= found.keys()
    assert found["memory"].endswith("GiB")


@pytest.mark.parametrize("loss", ["nan", None])
def test_a_step_that_fails_is_told_and_the_code_is_2(monkeypatch, loss):
    def build(self, model):
        if loss is None:
            raise RuntimeError("no kernel image is available\nand more")
        with torch.no_grad():
            model.head.fc.bias.fill_(float(loss))
        return SupervisedSpec.built(self, model)

    monkeypatch.setattr(SupervisedSpec, "built", SupervisedSpec.build, raising=False)
    monkeypatch.setattr(SupervisedSpec, "build", build)
    said = vertebra("doctor")
    assert said.code == 2
    told = "failed: no kernel image is available" if loss is None else "gave a loss of nan"
    assert f"step on cpu        {told}\n" in said.out


def test_an_extra_that_is_missing_is_told_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(doctor, "EXTRAS", {"moon": "a-distribution-that-is-not-there"})
    said = vertebra("doctor")
    assert "extra moon         not installed; `pip install vertebra[moon]` brings it" in said.out
