import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from vertebra.engine.averaging import Averaging
from vertebra.errors import CheckpointError, RecipeError


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5))


def drift(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Moves every parameter and floating buffer, counts one batch, and returns the new values."""
    generator = torch.Generator().manual_seed(seed)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator))
        else:
            value.add_(1)
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@settings(max_examples=10, deadline=None)
@given(decay=st.floats(0, 1), count=st.integers(1, 6))
def test_the_average_equals_its_closed_form(decay: float, count: int):
    model = network()
    history = [copy.deepcopy(model.state_dict())]
    average = Averaging(decay=decay, ramp=False).build(model)
    for step in range(count):
        history.append(drift(model, step))
        average.update(model, step)
    for name, value in average.state_dict().items():
        if not value.is_floating_point():
            assert value == count
            continue
        expected = decay**count * history[0][name]
        for step in range(1, count + 1):
            expected = expected + (1 - decay) * decay ** (count - step) * history[step][name]
        assert_close(value, expected, rtol=1e-4, atol=1e-5)


def test_decay_zero_copies_and_decay_one_freezes():
    model = network()
    first = copy.deepcopy(model.state_dict())
    copying = Averaging(decay=0).build(model)
    frozen = Averaging(decay=1, ramp=False).build(model)
    second = drift(model, 1)
    for average in (copying, frozen):
        average.update(model, 0)
    assert same(copying.state_dict(), second)
    counted = first | {"1.num_batches_tracked": second["1.num_batches_tracked"]}
    assert same(frozen.state_dict(), counted)


def test_the_ramp_is_that_of_resnet_rs():
    spec = Averaging(decay=0.9999)
    assert [spec.decay_at(step) for step in (0, 1, 90)] == [1 / 10, 2 / 11, 91 / 100]
    assert spec.decay_at(10**6) == 0.9999
    assert Averaging(decay=0.9999, ramp=False).decay_at(0) == 0.9999
    assert Averaging(decay=0).decay_at(5) == 0


def test_the_model_is_untouched_by_an_update():
    model = network()
    average = Averaging(decay=0.3).build(model)
    before = drift(model, 3)
    model.train()
    average.update(model, 0)
    assert same(model.state_dict(), before)
    assert model.training and all(p.requires_grad for p in model.parameters())


def test_the_average_is_an_evaluation_copy_without_gradients():
    average = Averaging().build(network().train())
    assert not any(module.training for module in average.module.modules())
    assert not any(p.requires_grad for p in average.module.parameters())


def test_batch_statistics_are_averaged_once():
    """The model's are the last batch's, as momentum 1 makes them; only the average smooths them."""
    model = network().train()
    average = Averaging(decay=0.5, ramp=False).build(model)
    norm, averaged = model[1], average.module[1]
    assert isinstance(norm, nn.BatchNorm2d) and isinstance(averaged, nn.BatchNorm2d)
    assert norm.running_mean is not None and averaged.running_mean is not None
    expected = torch.zeros(3)
    for step in range(4):
        images = torch.randn(5, 2, 6, 6) + step
        features = model[0](images)
        model(images)
        assert_close(norm.running_mean, features.mean((0, 2, 3)).detach())
        average.update(model, step)
        expected = 0.5 * expected + 0.5 * features.mean((0, 2, 3)).detach()
    assert_close(averaged.running_mean, expected)
    assert averaged.num_batches_tracked == 4


def test_only_the_trained_models_norms_change_their_momentum():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.SyncBatchNorm(2), nn.InstanceNorm2d(2))
    average = Averaging().build(model)
    assert [module.momentum for module in model] == [1.0, 1.0, 0.1]
    assert [module.momentum for module in average.module.children()] == [0.1, 0.1, 0.1]


def test_tied_weights_stay_tied_in_the_average():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    average = Averaging(decay=0.5, ramp=False).build(model)
    with torch.no_grad():
        model[0].weight.add_(1)
    expected = model[0].weight.detach() - 0.5
    average.update(model, 0)
    first, second = average.module.children()
    assert first.weight is second.weight
    assert_close(first.weight.detach(), expected)


def test_a_restored_average_goes_on_bitwise():
    model = network()
    average = Averaging(decay=0.7).build(model)
    drift(model, 0)
    average.update(model, 0)
    other = Averaging(decay=0.7).build(network(seed=9))
    other.load_state_dict(copy.deepcopy(average.state_dict()))
    drift(model, 1)
    average.update(model, 1)
    other.update(model, 1)
    assert same(average.state_dict(), other.state_dict())


def test_the_state_of_another_model_is_refused():
    average = Averaging().build(network())
    with pytest.raises(CheckpointError, match="belongs to another model"):
        average.load_state_dict(nn.Linear(2, 2).state_dict())


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_outside_0_to_1_is_refused(decay: float):
    with pytest.raises(RecipeError, match=r"give a number from 0 to 1"):
        Averaging(decay=decay)
