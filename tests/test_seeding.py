import hashlib
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vertebra.seeding import generator, seed_of, seeded

KEYS = st.lists(st.integers() | st.text(), max_size=4).map(tuple)


def draws() -> tuple[float, float]:
    return random.random(), torch.rand(()).item()


@given(KEYS)
def test_a_seed_has_63_bits_and_does_not_change(keys):
    assert 0 <= seed_of(*keys) < 2**63
    assert seed_of(*keys) == seed_of(*keys)


@pytest.mark.parametrize(
    ("one", "other"), [((1,), ("1",)), ((1, 2), (2, 1)), ((1, 2), (12,)), (("a",), ("a", ""))]
)
def test_other_keys_give_another_seed(one, other):
    assert seed_of(*one) != seed_of(*other)


def test_a_seed_is_a_hash_of_types_and_values_and_so_the_same_everywhere():
    digest = hashlib.blake2b(b"int:7\x1fstr:order", digest_size=8).digest()
    assert seed_of(7, "order") == int.from_bytes(digest, "big") // 2


def test_a_generator_depends_on_its_keys_alone():
    one = torch.rand(3, generator=generator(1, "a"))
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3, generator=generator(1, "a")), one)
    assert not torch.equal(torch.rand(3, generator=generator(1, "b")), one)


def test_draws_in_a_seeded_block_depend_on_the_keys_alone():
    found = []
    for before in range(2):
        random.seed(before)
        torch.manual_seed(before)
        with seeded(3, "step"):
            found.append(draws())
    assert found[0] == found[1]


def test_a_seeded_block_leaves_no_trace():
    random.seed(1)
    torch.manual_seed(1)
    expected = draws(), draws()
    random.seed(1)
    torch.manual_seed(1)
    found = [draws()]
    with seeded(3):
        draws()
        with seeded(4):
            draws()
    with pytest.raises(KeyError), seeded(5):
        raise KeyError
    found.append(draws())
    assert tuple(found) == expected


def test_a_block_goes_on_after_one_inside_it():
    with seeded(3):
        expected = draws(), draws()
    with seeded(3):
        first = draws()
        with seeded(4):
            draws()
        assert (first, draws()) == expected


@pytest.mark.gpu
def test_draws_on_a_device_are_seeded_and_put_back_too():
    device = torch.device("cuda", 0)
    torch.cuda.manual_seed(1)
    expected = torch.rand(3, device=device)
    torch.cuda.manual_seed(1)
    inside = []
    for _ in range(2):
        with seeded(3, device=device):
            inside.append(torch.rand(3, device=device))
    assert torch.equal(inside[0], inside[1])
    assert torch.equal(torch.rand(3, device=device), expected)
