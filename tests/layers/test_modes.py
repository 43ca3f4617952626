import pytest
from torch import nn

from vertebra.layers.modes import evaluating


@pytest.mark.parametrize("fails", [False, True])
def test_each_part_gets_its_mode_back(fails: bool):
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    net[1][1].eval()
    before = [part.training for part in net.modules()]
    try:
        with evaluating(net):
            assert not any(part.training for part in net.modules())
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert [part.training for part in net.modules()] == before == [True, True, True, True, False]


class Emptied(nn.Module):
    """Keeps something in evaluation that training must not find."""

    kept = None

    def train(self, mode: bool = True) -> "Emptied":
        self.kept = None if mode else "kept"
        return super().train(mode)


def test_a_part_hears_of_the_mode():
    part = Emptied()
    with evaluating(part):
        assert part.kept == "kept"
    assert part.kept is None
