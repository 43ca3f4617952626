import torch
from torch import nn

from vertebra.layers.squeeze_excite import SqueezeExcite


def test_a_zero_gate_halves_exactly():
    gate = SqueezeExcite(6, 3)
    nn.init.zeros_(gate.excite.weight)
    nn.init.zeros_(gate.excite.bias)
    x = torch.randn(2, 6, 5, 7)
    assert torch.equal(gate(x), x * 0.5)


def test_a_large_bias_opens_the_gate():
    gate = SqueezeExcite(6, 3)
    nn.init.constant_(gate.excite.bias, 50.0)
    x = torch.randn(2, 6, 5, 7)
    assert torch.equal(gate(x), x)


def test_gate_agrees_with_matrix_products():
    gate = SqueezeExcite(6, 3).double()
    x = torch.randn(4, 6, 5, 7, dtype=torch.float64)
    first, second = gate.squeeze, gate.excite
    hidden = (x.mean((2, 3)) @ first.weight[:, :, 0, 0].T + first.bias).clamp(min=0)
    factors = 1 / (1 + torch.exp(-(hidden @ second.weight[:, :, 0, 0].T + second.bias)))
    torch.testing.assert_close(gate(x), x * factors[:, :, None, None])
