"""Several networks as one: what they share, what they do not, and that nothing else notices."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.drawn import randomise

from vertebra.bench.anatomy import anatomy
from vertebra.contracts import Classifier
from vertebra.errors import RecipeError
from vertebra.models.classifier import build_classifier
from vertebra.models.divide import DividedSpec
from vertebra.models.ensemble import Ensemble, EnsembleSpec
from vertebra.models.levit import LeViTSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shelf import find_spec, title
from vertebra.models.specs import ModelSpec, network_in
from vertebra.models.timm import TimmSpec
from vertebra.recipes.codec import from_data, to_data

SMALL = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125)
MEMBERS = {
    "resnet": SMALL,
    "levit": replace(find_spec("levit_128s"), width=0.25, depth=0.1),
    "bit": replace(find_spec("resnetv2_50x1_bit"), width=0.125, depth=0.1),
    "clips": replace(find_spec("slow_resnet50"), width=0.125, depth=0.1),
    "timm": TimmSpec(name="test_resnet"),
}
K = 5


def drawn(name: str = "resnet", networks: int = 3) -> Classifier:
    torch.manual_seed(0)
    return randomise(
        build_classifier(EnsembleSpec(member=MEMBERS[name], networks=networks), classes=K)
    )


@pytest.mark.parametrize("name", MEMBERS)
def test_its_logits_are_the_mean_of_those_of_its_members_alone(name):
    model = drawn(name).eval()
    images = torch.randn(2, 3, 64, 64)
    pairs = zip(model.backbone.members, model.head.heads, strict=True)
    with torch.no_grad():
        alone = [Classifier(member, head)(images) for member, head in pairs]
        assert len(alone) == 3
        torch.testing.assert_close(model(images), sum(alone) / 3)


@pytest.mark.parametrize("name", MEMBERS)
def test_maps_and_vector_lie_side_by_side_as_promised(name):
    net = drawn(name).backbone.eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        encoding, parts = net(images), [member(images) for member in net.members]
    assert net.in_channels == 3
    assert encoding.vector.shape == (2, net.width)
    assert torch.equal(encoding.vector, torch.cat([each.vector for each in parts], 1))
    for number, (promised, found) in enumerate(zip(net.maps, encoding.maps, strict=True)):
        size = (-(-64 // promised.stride), -(-96 // promised.stride))
        assert found.shape == (2, promised.channels, *size)
        assert torch.equal(found, torch.cat([each.maps[number] for each in parts], 1))


def test_members_start_apart():
    members = EnsembleSpec(member=SMALL, networks=3).build().members
    weights = [member.stem.whole.conv.weight for member in members]
    assert not any(torch.equal(weights[a], weights[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_no_member_minds_what_another_sees_or_learns():
    net = drawn(networks=2).backbone
    first, second = torch.randn(2, 4, 3, 32, 32)
    vector = net.compare((first, second))
    torch.testing.assert_close(vector[:, : net.width // 2], net.members[0](first).vector)
    vector[:, : net.width // 2].square().sum().backward()
    assert any(p.grad.any() for p in net.members[0].parameters())
    assert not any(p.grad.any() for p in net.members[1].parameters())


def test_as_many_versions_are_wanted_as_there_are_members():
    with pytest.raises(ValueError, match="shorter"):
        drawn(networks=2).backbone.eval().compare((torch.randn(1, 3, 32, 32),))


@pytest.mark.parametrize("name", MEMBERS)
def test_levels_are_those_of_the_members_together(name):
    net = drawn(name).backbone
    parts = [id(parameter) for level in net.levels() for parameter in level.parameters()]
    assert sorted(parts) == sorted(map(id, net.parameters()))
    assert len(net.levels()) == len(net.members[0].levels())


def test_frozen_levels_rest_in_every_member():
    net = drawn().backbone
    net.freeze(2)
    net.train()
    for member in net.members:
        assert not any(p.requires_grad for p in member.levels()[1].parameters())
        assert all(p.requires_grad for p in member.levels()[2].parameters())
        assert not member.stem.training
        assert member.stages[1].training


@pytest.mark.parametrize("name", MEMBERS)
def test_the_form_for_inference_gives_the_same(name):
    model = drawn(name)
    images = torch.randn(2, 3, 64, 64)
    fused = model.fused()
    assert fused is not model
    assert len(list(fused.modules())) < len(list(model.modules())) or name in ("bit", "timm")
    with torch.no_grad():
        torch.testing.assert_close(fused(images), model.eval()(images), rtol=1e-4, atol=1e-4)


def test_a_saved_state_gives_the_same_network():
    model, other = (
        drawn().eval(),
        build_classifier(EnsembleSpec(member=SMALL, networks=3), classes=K),
    )
    other.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(other.eval()(images), model(images))


def test_what_it_is_made_of_is_told_level_by_level():
    with torch.device("meta"):
        model = build_classifier(EnsembleSpec(member=SMALL, networks=2), classes=K)
        alone = build_classifier(SMALL, classes=K)
    for both, one in zip(anatomy(model, image_size=64), anatomy(alone, image_size=64), strict=True):
        assert (both.parameters, both.macs) == (2 * one.parameters, 2 * one.macs)


def test_the_exported_program_gives_the_same():
    model = drawn(networks=2).eval()
    images = torch.randn(2, 3, 32, 32)
    program = torch.export.export(model, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), model(images))


@pytest.mark.slow
def test_compiling_changes_nothing_and_breaks_no_graph():
    model = drawn(networks=2).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True)(images)
        torch.testing.assert_close(compiled, model(images), rtol=1e-4, atol=1e-5)


def test_two_heads_of_a_distilled_member_stay_two():
    head = drawn("levit", networks=2).head
    assert len(head.heads) == 2
    assert head.each(torch.randn(3, sum(head.widths))).shape == (2, 3, K)


@given(networks=st.integers(1, 5))
def test_a_spec_survives_being_written_and_read(networks):
    for spec in (
        EnsembleSpec(member=LeViTSpec(), networks=networks),
        DividedSpec(whole=SMALL, networks=networks),
    ):
        assert from_data(ModelSpec, to_data(spec), path="model") == spec


def test_it_is_called_by_its_members():
    assert title(EnsembleSpec(member=find_spec("resnet50"), networks=3)) == "3 x resnet50"
    divided = DividedSpec(whole=find_spec("resnet50"), networks=2)
    assert title(divided) == "2 x resnet50 with width=0.7071"


def test_the_network_within_is_found_with_its_path():
    assert network_in(SMALL) == ("model", SMALL)
    assert network_in(EnsembleSpec(member=SMALL)) == ("model.member", SMALL)
    assert network_in(DividedSpec(whole=SMALL)) == ("model.whole", SMALL)


def test_an_ensemble_is_no_member():
    inner = to_data(EnsembleSpec(member=SMALL))
    with pytest.raises(RecipeError, match=r"model\.member\.kind is 'EnsembleSpec'"):
        from_data(ModelSpec, {"kind": "EnsembleSpec", "member": inner}, path="model")


def test_no_networks_are_refused():
    with pytest.raises(RecipeError, match="networks=0; give a whole number, at least 1"):
        EnsembleSpec(member=SMALL, networks=0)


def test_one_network_is_an_ensemble_too():
    assert isinstance(EnsembleSpec(member=SMALL, networks=1).build(), Ensemble)
