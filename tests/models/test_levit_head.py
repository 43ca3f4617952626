import torch
from tests.models.drawn import randomise
from torch import nn

from vertebra.contracts import fused
from vertebra.models.levit_head import LeViTHead


def test_logits_are_the_mean_of_both_heads_in_training_and_evaluation():
    head = randomise(LeViTHead(6, 3))
    vector = torch.randn(4, 6)
    for mode in (True, False):
        head.train(mode)
        label, teacher = head.both(vector)
        torch.testing.assert_close(head(vector), (label + teacher) / 2)
        assert not torch.equal(label, teacher)


def test_each_head_learns_from_its_own_logits():
    head = LeViTHead(6, 3)
    head.both(torch.randn(4, 6)).teacher[:, 0].sum().backward()
    assert all(each.grad is None for each in head.label.parameters())
    assert all(each.grad is not None for each in head.teacher.parameters())


def test_in_the_form_for_inference_both_heads_are_one_linear_map():
    head = randomise(LeViTHead(6, 3)).eval()
    vector = torch.randn(4, 6)
    inner = fused(nn.Sequential(head))[0]
    for folded in (inner, head.folded()):
        assert isinstance(folded, nn.Linear)
        torch.testing.assert_close(folded(vector), head(vector))
