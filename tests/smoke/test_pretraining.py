"""Without labels, in seconds: BYOL and SimCLR find what versions of an image have in common."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.contracts import Backbone, Batch, Classifier, Encoding, Progress
from vertebra.engine.optimizers import SGD
from vertebra.methods.byol import BYOL, BYOLSpec
from vertebra.methods.simclr import SimCLR, SimCLRSpec
from vertebra.seeding import seeded

KINDS, STEPS, N = 8, 200, 64
CPU = torch.device("cpu")


class Perceptron(Backbone):
    """Two layers on the pixels of small grey images."""

    maps = ()
    width = 32
    in_channels = 1

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32)
        )

    def forward(self, images: Tensor) -> Encoding:
        return Encoding((), self.layers(images))


def draw(count: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Returns two noisy versions of so many images, and of which of the eight kinds each is."""
    kinds = torch.randint(KINDS, (count,), generator=draws)
    centres = torch.randn(KINDS, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, count, 1, 8, 8, generator=draws)
    first, second = centres[kinds] + 2 * noise
    return first, second, kinds


def pretrain(
    spec: BYOLSpec | SimCLRSpec, change: Callable[[BYOL | SimCLR], None] = lambda method: None
) -> tuple[BYOL | SimCLR, float]:
    """Returns the method after two hundred updates, and the spread in the last one."""
    draws = torch.Generator().manual_seed(1)
    with seeded(0):
        method = spec.build(Classifier(Perceptron(), nn.Linear(32, KINDS))).train()
    change(method)
    optimizer = SGD(lr=0.2, nesterov=False).build(method.parameter_groups(), CPU)
    parts = {}
    for step in range(STEPS):
        first, second, kinds = draw(N, draws)
        batch = Batch(first, kinds, torch.arange(N), views=(second,))
        losses = method(batch, Progress(step, STEPS))
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(Progress(step + 1, STEPS))
        parts = losses.parts
    return method, float(parts["spread"])


@torch.no_grad()
def probed(backbone: Backbone) -> float:
    """Returns the share of new images whose vector points most to the mean of its kind, as told by
    forty labelled images."""
    draws = torch.Generator().manual_seed(2)
    labelled, _, their_kinds = draw(40, draws)
    images, _, kinds = draw(1000, draws)
    known, asked = (F.normalize(backbone.eval()(each).vector) for each in (labelled, images))
    means = torch.stack([known[their_kinds == kind].mean(0) for kind in range(KINDS)])
    return float(((asked @ means.T).argmax(1) == kinds).float().mean())


BYOL_SPEC = BYOLSpec(hidden=64, projection=16, tau=0.9)


@pytest.mark.parametrize(
    "spec",
    [BYOL_SPEC, SimCLRSpec(hidden=64, projection=16, temperature=0.5)],
    ids=["byol", "simclr"],
)
def test_few_labels_are_worth_more_behind_a_pretrained_backbone(spec):
    with seeded(0):
        fresh = probed(Perceptron())
    method, spread = pretrain(spec)
    assert spread > 0.8
    assert probed(method.deployable().backbone) > fresh + 0.2


def test_without_its_predictor_byol_says_the_same_of_all():
    def without(method: BYOL | SimCLR) -> None:
        method.predictor = nn.Identity()

    _, spread = pretrain(BYOL_SPEC, without)
    assert spread < 0.1
