"""What the check of operators finds, in networks made for it and on the shelf."""

import pytest
import torch
from torch import nn

from vertebra.errors import RecipeError
from vertebra.models.classifier import build_classifier
from vertebra.models.operators import SUPPORTED, listed, operators, require_supported
from vertebra.models.resnet import NAMED


def names(*parts, **settings):
    return [each.name for each in operators(nn.Sequential(*parts), **settings)]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (nn.Conv2d(3, 4, 3, padding=1, stride=2), "3x3 convolution"),
        (nn.Conv2d(3, 4, 1), "1x1 convolution"),
        (nn.Conv2d(3, 4, 7), "7x7 convolution"),
        (nn.Conv2d(3, 4, 3, stride=3), "3x3 convolution of stride 3x3"),
        (nn.Conv2d(3, 4, 3, dilation=2), "3x3 convolution dilated by 2x2"),
        (nn.Conv2d(3, 6, 3, groups=3), "3x3 convolution in 3 groups"),
        (nn.ConvTranspose2d(3, 4, 3), "3x3 transposed convolution"),
        (nn.MaxPool2d(2), "2x2 max pool"),
        (nn.MaxPool2d(2, stride=1), "2x2 max pool of stride 1x1"),
        (nn.MaxPool2d(3, stride=2), "3x3 max pool"),
        (nn.BatchNorm2d(3), "batch norm"),
        (nn.ReLU(inplace=True), "ReLU"),
        (nn.Linear(64, 2), "linear map"),
        (nn.AdaptiveAvgPool2d(1), "mean over rows and columns"),
        (nn.GroupNorm(1, 3), "group norm"),
        (nn.GELU(), "gelu"),
    ],
)
def test_an_operator_has_a_name_that_says_what_is_special(part, name):
    assert name in names(part)
    assert (name in SUPPORTED) == all(each in SUPPORTED for each in names(part))


def test_a_convolution_of_too_many_channels_is_another_one():
    assert names(nn.Conv2d(3, 4, 3), max_channels=2) == ["3x3 convolution of over 2 channels"]


def test_what_becomes_of_weights_alone_does_not_count():
    class Doubled(nn.Conv2d):
        def forward(self, input):
            return self._conv_forward(input, self.weight * 2, None)

    assert names(Doubled(3, 4, 3)) == ["3x3 convolution"]


def test_the_model_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    operators(model)
    assert model.training
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_residual_network_is_refused_with_what_it_needs_and_where():
    with torch.device("meta"):
        model = build_classifier(NAMED["resnet18"], classes=3)
    with pytest.raises(RecipeError) as told:
        require_supported(model)
    for said in (
        "1 x 7x7 convolution (first in backbone.stem.whole.conv)",
        "1 x 3x3 max pool (first in backbone.stem.pool)",
        "8 x addition (first in backbone.stages.0.0)",
        "3 x 1x1 convolution (first in backbone.stages.1.0.shortcut.conv)",
        "use only 3x3 convolution",
    ):
        assert said in str(told.value)


def test_many_kinds_are_not_all_listed():
    kinds = [nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.Softplus(), nn.ELU(), nn.Hardswish()]
    found = operators(nn.Sequential(*kinds))
    assert listed(found).endswith("1 x elu (first in 5) and others")
