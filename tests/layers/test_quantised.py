"""Layers with quantised weights against plain ones with those weights."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.layers.quantise import FilterLevels, RowLevels
from vertebra.layers.quantised import QuantisedConv2d, QuantisedHead


def test_a_convolution_applies_quantised_filters_and_keeps_the_others():
    plain = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False)
    made = QuantisedConv2d.of(plain, FilterLevels(2))
    x = torch.randn(2, 3, 9, 9)
    quantised = FilterLevels(2)(plain.weight)
    assert_close(made(x), F.conv2d(x, quantised, stride=2, padding=1))
    assert made.weight is plain.weight
    assert list(made.state_dict()) == ["weight"]
    folded = made.folded()
    assert type(folded) is nn.Conv2d
    assert torch.equal(folded(x), made(x))


def test_a_head_clamps_its_logits_and_folds():
    head = QuantisedHead(6, 3, bits=8, gain=10.0).eval()
    nn.init.normal_(head.fc.weight)
    nn.init.normal_(head.fc.bias)
    vector = torch.randn(50, 6)
    wanted = F.linear(vector, 10 * RowLevels(8)(head.fc.weight), head.fc.bias)
    assert_close(head(vector), wanted.clamp(-16, 16))
    assert wanted.abs().max() > 16
    assert_close(head.folded()(vector), head(vector))
