import pytest
import torch
from tests.models.drawn import randomise
from torch import nn

from vertebra.errors import RecipeError
from vertebra.layers.norm_head import NormHead


def test_logits_are_linear_in_the_normalised_vector():
    head = randomise(NormHead(6, 3)).eval()
    vector = torch.randn(4, 6)
    torch.testing.assert_close(head(vector), head.linear.fc(head.norm(vector)))


def test_folded_moves_the_norm_into_the_linear_map():
    head = randomise(NormHead(6, 3, dropout=0.5)).eval()
    before = head.linear.fc.weight.clone()
    vector, folded = torch.randn(4, 6), head.folded()
    assert isinstance(folded, nn.Linear)
    torch.testing.assert_close(folded(vector), head(vector))
    assert torch.equal(head.linear.fc.weight, before)


def test_weights_start_small_and_biases_at_zero():
    torch.manual_seed(0)
    fc = NormHead(200, 100).linear.fc
    assert fc.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not fc.bias.any()


def test_dropout_acts_on_the_normalised_vector_in_training_only():
    head = NormHead(6, 3, dropout=0.5)
    vector = torch.randn(4, 6)
    assert not torch.equal(head(vector), head(vector))
    assert torch.equal(head.eval()(vector), head(vector))


def test_no_classes_are_refused():
    with pytest.raises(RecipeError, match="classes=0"):
        NormHead(6, 0)
