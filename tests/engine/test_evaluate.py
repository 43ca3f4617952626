import pytest
import torch
from tests.engine.drawn import CPU, K, Plain, drawn_batches
from torch import nn

from vertebra.engine.evaluate import evaluate
from vertebra.engine.execution import Execution


class Counted:
    """Sums the logits and counts the images."""

    def __init__(self):
        self.sums = {"logits": torch.zeros(K), "images": torch.zeros(())}
        self.seen = []

    def update(self, outputs, batch):
        self.sums["logits"] += outputs.sum(0)
        self.sums["images"] += len(batch.images)
        self.seen.append((outputs.dtype, outputs.requires_grad, torch.is_inference_mode_enabled()))


@pytest.mark.parametrize("was_training", [True, False])
def test_every_image_counts_once_without_dropout_and_the_mode_comes_back(was_training):
    model = Plain(dropout=0.5).model.train(was_training)
    batches = [*drawn_batches(2, 5), *drawn_batches(1, 3)]
    metric, done = Counted(), []
    evaluate(model, batches, metric, device=CPU, execution=Execution(), on_batch=done.append)
    assert model.training == was_training
    assert done == [5, 5, 3]
    assert metric.sums["images"] == 13
    with torch.no_grad():
        expected = sum(model.eval()(batch.images).sum(0) for batch in batches)
    torch.testing.assert_close(metric.sums["logits"], expected)
    assert set(metric.seen) == {(torch.float32, False, True)}


def test_the_mode_comes_back_after_an_error():
    model = nn.Linear(7, K)
    with pytest.raises(RuntimeError, match="shapes"):
        evaluate(model, drawn_batches(1, 2), Counted(), device=CPU, execution=Execution())
    assert model.training


def test_half_precision_is_the_executions():
    metric, half = Counted(), Execution(precision="bf16")
    evaluate(nn.Linear(8, K), drawn_batches(1, 2), metric, device=CPU, execution=half)
    assert metric.seen[0][0] == torch.bfloat16
