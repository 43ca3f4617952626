import pytest
import torch

from vertebra.errors import RecipeError
from vertebra.layers.linear_head import LinearHead


def test_weights_start_small_and_biases_at_zero():
    torch.manual_seed(0)
    head = LinearHead(500, 400)
    assert head.fc.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert abs(head.fc.weight.mean().item()) < 1e-4
    assert head.fc.bias.count_nonzero() == 0


def test_evaluation_is_the_linear_map_whatever_the_dropout():
    head = LinearHead(5, 3, dropout=0.9).eval()
    vector = torch.randn(2, 5)
    assert torch.equal(head(vector), head.fc(vector))
    assert not torch.equal(head.train()(vector), head.fc(vector))


@pytest.mark.parametrize(("classes", "dropout"), [(0, 0.0), (2, 1.0), (2, -0.1)])
def test_settings_out_of_range_are_refused(classes, dropout):
    with pytest.raises(RecipeError, match="at least one class"):
        LinearHead(5, classes, dropout=dropout)
