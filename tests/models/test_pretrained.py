"""Weights from every kind of file into our models; what does not fit says what to do."""

from functools import cache
from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from tests.models.drawn import randomise
from torch import Tensor, nn

from vertebra.contracts import Classifier
from vertebra.errors import CheckpointError, MissingExtra
from vertebra.models.classifier import build_classifier
from vertebra.models.pretrained import for_channels, load_pretrained
from vertebra.models.shelf import find_spec
from vertebra.models.timm import TimmSpec

CLASSES = 10


@cache
def foreign(name: str, classes: int = CLASSES, library: str = "timm") -> nn.Module:
    torch.manual_seed(0)
    if library == "torchvision":
        return randomise(torchvision.models.get_model(name, num_classes=classes)).eval()
    return randomise(timm.create_model(name, num_classes=classes)).eval()


def saved(path, state: dict[str, Tensor]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous().clone() for name, value in state.items()}, path)
    return str(path)


def ours(name: str, classes: int = CLASSES, in_channels: int = 3) -> Classifier:
    torch.manual_seed(1)
    return build_classifier(find_spec(name), classes=classes, in_channels=in_channels).eval()


def load(model, weights, *, name="resnet18", download=False, keep_head=False):
    return load_pretrained(
        model, name=name, weights=weights, download=download, keep_head=keep_head
    )


def assert_same_logits(model: nn.Module, theirs: nn.Module, size: int = 64) -> None:
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        wanted = theirs(images)
        assert wanted.std() > 0.05
        torch.testing.assert_close(model(images), wanted, rtol=0, atol=1e-4)


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """A machine without any weights; returns the folder of our cache."""
    monkeypatch.setenv("VERTEBRA_CACHE", str(tmp_path / "ours"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "theirs", "library"),
    [
        ("resnet18", "resnet18", "timm"),
        ("resnet18", "resnet18", "torchvision"),
        ("ghostnet_100", "ghostnet_100", "timm"),
        ("timm/test_convnext", "test_convnext", "timm"),
        ("timm/test_vit", "test_vit", "timm"),
        ("timm/mobilenetv3_small_050", "mobilenetv3_small_050", "timm"),
    ],
)
def test_a_file_with_another_librarys_names_gives_its_logits(tmp_path, name, theirs, library):
    net = foreign(theirs, library=library)
    model = ours(name)
    path = saved(tmp_path / "model.safetensors", net.state_dict())
    report = load(model, path, name=name, keep_head=True)
    assert_same_logits(model, net)
    assert report.source == path
    assert report.licence is None
    assert report.notes == (f"starts from {path}, licence not stated", "head: kept, 10 classes")


def test_levit_keeps_its_two_heads(tmp_path):
    path = saved(tmp_path / "model.safetensors", foreign("levit_128s").state_dict())
    model = ours("levit_128s")
    load(model, path, name="levit_128s", keep_head=True)
    assert_same_logits(model, foreign("levit_128s"), size=224)


@pytest.mark.parametrize("name", ["resnet18", "timm/test_convnext"])
@pytest.mark.parametrize("part", ["classifier", "backbone"])
def test_a_file_with_our_own_names_gives_the_same_vectors(tmp_path, name, part):
    first, second = ours(name), ours(name)
    randomise(first)
    state = (first if part == "classifier" else first.backbone).state_dict()
    load(second, saved(tmp_path / "weights.safetensors", state), name=name)
    for key, value in first.backbone.state_dict().items():
        assert torch.equal(value, second.backbone.state_dict()[key])


@pytest.mark.parametrize("name", ["resnet18", "timm/test_convnext"])
def test_the_head_stays_fresh_unless_asked_for(tmp_path, name):
    theirs = foreign(name.removeprefix("timm/"))
    path = saved(tmp_path / "model.safetensors", theirs.state_dict())
    for classes in (3, CLASSES):
        model = ours(name, classes=classes)
        before = model.head.fc.weight.clone()
        report = load(model, path, name=name)
        assert torch.equal(model.head.fc.weight, before)
        assert report.notes[-1] == "head: fresh, in place of 10 classes"


@pytest.mark.parametrize("name", ["resnet18", "timm/test_convnext"])
def test_a_head_for_other_classes_cannot_be_kept(tmp_path, name):
    theirs = foreign(name.removeprefix("timm/"))
    path = saved(tmp_path / "model.safetensors", theirs.state_dict())
    with pytest.raises(CheckpointError, match="have 10 classes and the model 3; build it with 10"):
        load(ours(name, classes=3), path, name=name, keep_head=True)


@pytest.mark.parametrize("name", ["resnet18", "timm/test_vit"])
def test_a_grey_image_gives_the_vector_of_itself_three_times(tmp_path, name):
    theirs = foreign(name.removeprefix("timm/"))
    path = saved(tmp_path / "model.safetensors", theirs.state_dict())
    coloured, grey = ours(name), ours(name, in_channels=1)
    load(coloured, path, name=name)
    report = load(grey, path, name=name)
    image = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        wanted = coloured.backbone(image.expand(-1, 3, -1, -1)).vector
        torch.testing.assert_close(grey.backbone(image).vector, wanted, rtol=1e-4, atol=1e-4)
    assert report.notes[1] == "input: the filters for 3 channels, summed for 1"


@pytest.mark.parametrize("name", ["resnet18", "timm/test_vit"])
def test_six_equal_channels_give_the_vector_of_three(tmp_path, name):
    theirs = foreign(name.removeprefix("timm/"))
    path = saved(tmp_path / "model.safetensors", theirs.state_dict())
    three, six = ours(name), ours(name, in_channels=6)
    load(three, path, name=name)
    report = load(six, path, name=name)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = three.backbone(images).vector
        found = six.backbone(images.repeat(1, 2, 1, 1)).vector
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert report.notes[1] == "input: the filters for 3 channels, repeated and scaled by 3/6 for 6"


@pytest.mark.parametrize("channels", [2, 4, 5, 7])
def test_filters_for_other_channels_keep_their_sum_and_their_order(channels):
    weight = torch.randn(8, 3, 5, 5)
    found = for_channels(weight, channels)
    assert found.shape == (8, channels, 5, 5)
    for place in range(channels):
        torch.testing.assert_close(found[:, place] * channels / 3, weight[:, place % 3])


def test_position_embeddings_of_another_size_are_resampled_and_said(tmp_path):
    path = saved(tmp_path / "model.safetensors", foreign("test_vit").state_dict())
    model = build_classifier(TimmSpec(name="test_vit", image_size=96), classes=CLASSES)
    report = load(model, path, name="timm/test_vit")
    assert report.notes[1] == "made to fit: pos_embed [1, 101, 64] -> [1, 37, 64]"
    native = foreign("test_vit").pos_embed
    assert torch.equal(model.backbone.net.pos_embed[:, :1], native[:, :1])


def test_the_default_weights_come_from_our_cache(no_cache):
    place = no_cache / "ours/weights/timm/resnet18.a1_in1k/model.safetensors"
    saved(place, foreign("resnet18", classes=1000).state_dict())
    model = ours("resnet18", classes=1000)
    report = load(model, "default", keep_head=True)
    assert_same_logits(model, foreign("resnet18", classes=1000))
    assert report.source == "timm/resnet18.a1_in1k"
    assert (report.licence, report.image_size) == ("apache-2.0", 224)
    assert report.mean == (0.485, 0.456, 0.406)
    assert report.notes[0] == "starts from timm/resnet18.a1_in1k, licence apache-2.0"


def test_weights_come_from_the_cache_of_the_hub(no_cache):
    repository = no_cache / "hub/models--timm--resnet18.tv_in1k"
    state = foreign("resnet18", classes=1000).state_dict()
    saved(repository / "snapshots" / "abc" / "model.safetensors", state)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("abc")
    model = ours("resnet18")
    report = load(model, "torchvision/ResNet18_Weights.IMAGENET1K_V1")
    assert report.source == "timm/resnet18.tv_in1k"
    assert torch.equal(model.backbone.stem.whole.conv.weight, state["conv1.weight"])


def test_weights_of_timm_models_are_what_timm_says(no_cache):
    place = no_cache / "ours/weights/timm/test_vit.r160_in1k/model.safetensors"
    saved(place, foreign("test_vit", classes=1000).state_dict())
    report = load(ours("timm/test_vit", in_channels=1), "default", name="timm/test_vit")
    assert report.source == "timm/test_vit.r160_in1k"
    assert (report.licence, report.image_size) == ("apache-2.0", 160)
    assert (report.mean, report.std) == ((0.5,), (0.5,))
    with pytest.raises(CheckpointError, match="timm/test_vit has no weights 'r160'"):
        load(ours("timm/test_vit"), "r160", name="timm/test_vit")


def test_the_tag_in_a_name_of_timm_is_its_default(no_cache):
    name = "timm/resnet18.fb_ssl_yfcc100m_ft_in1k"
    with pytest.raises(CheckpointError, match=r"resnet18\.fb_ssl_yfcc100m_ft_in1k are not on"):
        load(ours(name), "default", name=name)


def test_a_missing_file_says_what_to_place_where(no_cache):
    with pytest.raises(CheckpointError) as caught:
        load(ours("resnet18"), "default")
    place = no_cache / "ours/weights/timm/resnet18.a1_in1k/model.safetensors"
    assert str(caught.value) == (
        "the weights timm/resnet18.a1_in1k are not on this machine; add --download, or place "
        f"model.safetensors of timm/resnet18.a1_in1k on the Hugging Face Hub at {place}"
    )


def test_with_permission_the_file_is_fetched(no_cache, monkeypatch):
    path = saved(no_cache / "fetched.safetensors", foreign("resnet18").state_dict())
    asked: list[tuple[str, str]] = []
    hub = SimpleNamespace(
        hf_hub_download=lambda *what: asked.append(what) or path,
        try_to_load_from_cache=lambda *what: None,
    )
    monkeypatch.setattr("vertebra.models.weight_files._hub", lambda: hub)
    load(ours("resnet18"), "tv_in1k", download=True)
    assert asked == [("timm/resnet18.tv_in1k", "model.safetensors")]


def test_a_hub_out_of_reach_is_one_sentence(no_cache):
    with pytest.raises(CheckpointError, match=r"cannot be fetched \(.*place it at "):
        load(ours("resnet18"), "default", download=True)


def test_without_the_hubs_client_only_fetching_needs_it(no_cache, monkeypatch):
    monkeypatch.setattr("vertebra.models.weight_files.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="not on this machine"):
        load(ours("resnet18"), "default")
    with pytest.raises(MissingExtra, match=r"vertebra\[hub\]"):
        load(ours("resnet18"), "default", download=True)


def test_weights_of_another_model_name_the_closest_naming(tmp_path):
    path = saved(tmp_path / "model.safetensors", foreign("resnet18").state_dict())
    with pytest.raises(CheckpointError, match=r"not this model's as timm names it: missing"):
        load(ours("seresnet18"), path, name="seresnet18")
    with pytest.raises(CheckpointError, match=r"not those of timm/test_vit \("):
        load(ours("timm/test_vit"), path, name="timm/test_vit")


def test_another_width_names_the_tensor(tmp_path):
    path = saved(tmp_path / "model.safetensors", foreign("resnet18").state_dict())
    spec = find_spec("resnet18")
    narrow = build_classifier(type(spec)(block="basic", blocks=(2, 2, 2, 2), width=0.5), classes=3)
    with pytest.raises(CheckpointError, match=r"conv1.weight is \[64, 3, 7, 7\]"):
        load(narrow, path)


def test_a_model_without_a_name_takes_files_only():
    with pytest.raises(CheckpointError, match="no published weights of this model"):
        load(ours("resnet18"), "default", name=None)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("x.safetensors", None, "x.safetensors is missing"),
        ("x.safetensors", b"no tensors", "x.safetensors cannot be read as .safetensors"),
        ("x.pth", b"a pickle", "x.pth is no .safetensors file; convert it"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, file, content, sentence):
    path = tmp_path / file
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        load(ours("resnet18"), str(path))
