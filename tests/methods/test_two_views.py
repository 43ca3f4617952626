"""What BYOL and SimCLR share: the spread, the projector, the probe."""

import math

import pytest
import torch
from tests.methods.shown import shown
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from vertebra.contracts import Batch
from vertebra.errors import RecipeError
from vertebra.methods.byol import BYOLSpec
from vertebra.methods.simclr import SimCLRSpec
from vertebra.methods.two_views import probe_loss, projector, spread

N, D, K = 64, 256, 5


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_spread_is_the_root_of_the_summed_variances_of_the_directions(draw):
    vectors = torch.randn(N, 7, generator=draw, dtype=torch.float64) + 1
    variances = F.normalize(vectors).var(0, correction=0)
    assert_close(spread(vectors), variances.sum().sqrt())


def test_spread_is_zero_where_all_point_one_way_and_one_where_they_cancel(draw):
    one = torch.randn(1, D, generator=draw)
    lengths = torch.rand(N, 1, generator=draw) + 0.1
    assert spread(one * lengths) < 1e-3
    assert spread(torch.cat((one, -one))) == 1


def test_of_healthy_projections_each_dimension_has_its_part_of_the_spread(draw):
    """The figure of SimSiam: a deviation of 1 / sqrt(D) in each dimension."""
    vectors = torch.randn(4096, D, generator=draw)
    assert spread(vectors) == pytest.approx(1, abs=0.01)
    assert_close(F.normalize(vectors).std(0).mean(), torch.tensor(1 / 16), atol=1e-3, rtol=0)


def test_spread_passes_no_gradient(draw):
    assert not spread(torch.randn(N, D, generator=draw, requires_grad=True)).requires_grad


def test_a_projector_has_two_layers_and_a_norm_between():
    made = projector(8, 16, 4)
    assert made(torch.randn(3, 8)).shape == (3, 4)
    assert {name: tuple(value.shape) for name, value in made.named_parameters()} == {
        "0.weight": (16, 8),
        "1.weight": (16,),
        "1.bias": (16,),
        "3.weight": (4, 16),
    }


def batch_of(targets: torch.Tensor) -> Batch:
    return Batch(torch.zeros(len(targets), 1), targets, torch.arange(len(targets)))


def test_the_probe_sees_both_versions_and_gives_their_maker_no_gradient(draw):
    head = nn.Linear(8, K).double()
    vectors = [
        torch.randn(N, 8, generator=draw, dtype=torch.float64, requires_grad=True) for _ in "12"
    ]
    targets = torch.randint(K, (N,), generator=draw)
    loss = probe_loss(head, vectors, batch_of(targets))
    each = [F.cross_entropy(head(vector), targets) for vector in vectors]
    assert_close(loss, sum(each) / 2)
    loss.backward()
    assert head.weight.grad.abs().sum() > 0
    assert [vector.grad for vector in vectors] == [None, None]


def test_the_probe_takes_soft_targets(draw):
    head, targets = nn.Linear(8, K), torch.randint(K, (N,), generator=draw)
    vectors = [torch.randn(N, 8, generator=draw)]
    soft = probe_loss(head, vectors, batch_of(F.one_hot(targets, K).float()))
    assert_close(soft, probe_loss(head, vectors, batch_of(targets)))


def test_where_there_are_no_classes_the_probe_learns_nothing(draw):
    head = nn.Linear(8, 1)
    targets = torch.zeros(N, dtype=torch.int64)
    loss = probe_loss(head, [torch.randn(N, 8, generator=draw)] * 2, batch_of(targets))
    loss.backward()
    assert loss == 0
    for parameter in head.parameters():  # there is one, or other processes would wait for it
        assert torch.equal(parameter.grad, torch.zeros_like(parameter))


@pytest.mark.parametrize("kind", [BYOLSpec, SimCLRSpec])
@pytest.mark.parametrize("views", [0, 2])
def test_another_number_of_versions_than_two_is_refused(kind, views):
    with pytest.raises(RecipeError, match=f"data.views adds {views} to the first; give one view"):
        kind().check(shown(views=views))
    kind().check(shown(views=1))


@pytest.mark.parametrize("kind", [BYOLSpec, SimCLRSpec])
def test_images_without_the_labels_of_the_source_are_refused(kind):
    with pytest.raises(RecipeError, match="cannot learn the classes of the source"):
        kind().check(shown(views=1, elsewhere=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BYOLSpec(hidden=0), "hidden=0 and projection=256; give widths"),
        (lambda: SimCLRSpec(projection=0), "hidden=2048 and projection=0; give widths"),
        (lambda: BYOLSpec(tau=1.01), r"tau=1\.01; give a share from 0 to 1"),
        (lambda: SimCLRSpec(temperature=0.0), r"temperature=0\.0; give one above 0"),
        (lambda: SimCLRSpec(temperature=math.inf), "temperature=inf; give one above 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(make, message):
    with pytest.raises(RecipeError, match=message):
        make()
