"""SimCLR against a plain loop, closed forms, finite differences and two processes."""

import math
import multiprocessing
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from vertebra.contracts import Batch, Progress
from vertebra.methods.simclr import SimCLR, SimCLRSpec, nt_xent
from vertebra.models.classifier import build_classifier
from vertebra.models.resnet import ResNetSpec
from vertebra.seeding import seeded

N, D, K = 5, 4, 3
SMALL = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125, zero_init_last=False)


def rows(seed: int, *, n: int = N) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, D, generator=draw, dtype=torch.float64)


def plain(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Returns the loss as its equation says it, one pair at a time."""
    z = [*first, *second]

    def s(i: int, j: int) -> float:
        return float(z[i] @ z[j] / (z[i].norm() * z[j].norm()) / temperature)

    losses = []
    for i in range(2 * N):
        other = (i + N) % (2 * N)
        below = sum(math.exp(s(i, k)) for k in range(2 * N) if k != i)
        losses.append(-math.log(math.exp(s(i, other)) / below))
    return torch.tensor(sum(losses) / len(losses), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_the_loss_is_that_of_a_plain_loop(temperature):
    first, second = rows(0), rows(1)
    found = nt_xent(first, second, temperature=temperature)
    assert_close(found, plain(first, second, temperature))


def test_the_gradient_agrees_with_finite_differences():
    found = [rows(0).requires_grad_(), rows(1).requires_grad_()]
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, temperature=0.5), found)


def test_neither_order_nor_lengths_matter():
    first, second = rows(0), rows(1)
    loss = nt_xent(first, second, temperature=0.2)
    order = torch.tensor([3, 1, 0, 4, 2])
    assert_close(nt_xent(second, first, temperature=0.2), loss)
    assert_close(nt_xent(first[order], second[order], temperature=0.2), loss)
    assert_close(nt_xent(7 * first, 0.1 * second, temperature=0.2), loss)


def test_images_that_look_alike_cost_the_logarithm_of_the_others():
    same = torch.ones(N, D)
    assert_close(nt_xent(same, same, temperature=0.1), torch.tensor(math.log(2 * N - 1)))


def test_images_that_are_as_different_as_can_be_have_the_closed_form():
    apart, t = torch.eye(4), 0.3
    below = math.exp(1 / t) + 2 * 4 - 2
    assert_close(nt_xent(apart, apart, temperature=t), torch.tensor(math.log(below) - 1 / t))


def test_similarities_are_not_rounded_in_half_precision():
    first, second = rows(0).float(), rows(1).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = nt_xent(first, second, temperature=0.1)
    assert torch.equal(found, nt_xent(first, second, temperature=0.1))


def drawn() -> tuple[nn.Linear, Tensor, Tensor]:
    """Returns a network without batch statistics and two versions of eight images."""
    draw = torch.Generator().manual_seed(0)
    images, noise = torch.randn(2, 8, 6, generator=draw, dtype=torch.float64)
    model = nn.Linear(6, D, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(D, 6, generator=draw, dtype=torch.float64))
    return model, images, images + noise


def loss_of(model: nn.Module, images: Tensor, views: Tensor) -> Tensor:
    first, second = model(torch.cat((images, views))).chunk(2)
    return nt_xent(first, second, temperature=0.5)


def share(rank: int, folder: Path) -> None:
    """Learns from half of the images beside another process."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/join", rank=rank, world_size=2)
    model, images, views = drawn()
    half = (each.chunk(2)[rank] for each in (images, views))
    parallel = DistributedDataParallel(model)
    loss = loss_of(parallel, *half)
    loss.backward()
    found = {"loss": loss.detach(), "gradient": model.weight.grad}
    save_file(found, folder / f"{rank}.safetensors")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What each of two processes found with its half of the images."""
    folder = tmp_path_factory.mktemp("pair")
    fork = multiprocessing.get_context("fork")  # a fresh one would import torch for seconds
    both = [fork.Process(target=share, args=(rank, folder)) for rank in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        for each in both:
            each.start()
    for each in both:
        each.join(60)
    assert [each.exitcode for each in both] == [0, 0]
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


def test_two_processes_have_the_loss_and_the_gradient_of_one(pair):
    model, images, views = drawn()
    loss = loss_of(model, images, views)
    loss.backward()
    assert_close((pair[0]["loss"] + pair[1]["loss"]) / 2, loss.detach())
    for found in pair:
        assert_close(found["gradient"], model.weight.grad)


def test_two_processes_compare_more_images_than_each_has(pair):
    model, images, views = drawn()
    with torch.no_grad():
        alone = loss_of(model, images[:4], views[:4])
    assert pair[0]["loss"] > alone + 0.1


@pytest.fixture
def method() -> SimCLR:
    with seeded(0):
        return SimCLRSpec(hidden=16, projection=8).build(build_classifier(SMALL, classes=K)).train()


def test_the_method_adds_contrast_and_probe_and_every_parameter_learns(method):
    draw = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, 6, 3, 16, 16, generator=draw)
    batch = Batch(first, torch.arange(6) % K, torch.arange(6), views=(second,))
    total, parts = method(batch, Progress(0, 1))
    vectors = [method.projector(method.model.backbone(each).vector) for each in (first, second)]
    assert_close(parts["simclr"], nt_xent(*vectors, temperature=0.1), atol=1e-5, rtol=1e-5)
    assert list(parts) == ["simclr", "probe", "spread"]
    assert_close(total, parts["simclr"] + parts["probe"])
    total.backward()
    assert [name for name, value in method.named_parameters() if value.grad is None] == []
    assert method.deployable() is method.model
