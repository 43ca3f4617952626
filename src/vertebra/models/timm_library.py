"""The library timm, where it is installed: its models by name, and their published weights."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any

from vertebra.errors import MissingExtra, NameLookupError, RecipeError
from vertebra.lookup import suggest
from vertebra.models.catalogue import Weights, training_data

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm/"
"""What our names of timm's models, and of the weights it publishes, begin with."""


def library() -> Any:
    """Returns the module timm.

    Raises:
        MissingExtra: it is not installed.
    """
    if find_spec("timm") is None:
        raise MissingExtra("timm is not installed; bring it with `pip install vertebra[timm]`")
    return import_module("timm")


def require_timm(name: str) -> None:
    """Looks up a model of timm, with or without a tag: "resnet50", "resnet50.a1_in1k".

    Raises:
        MissingExtra: timm is not installed.
        NameLookupError: it has no such model or tag; the message offers the nearest one.
    """
    timm = library()
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        names: list[str] = timm.list_models()
        near = suggest(PREFIX + architecture, [PREFIX + each for each in names])
        raise NameLookupError(f"unknown model {PREFIX + name!r}; {near}")
    tags = tags_of(architecture)
    if tag and tag not in tags:
        raise NameLookupError(
            f"timm has no weights {tag!r} of {PREFIX}{architecture}; {suggest(tag, tags)}"
        )


def native_size(name: str) -> int:
    """Returns the side in pixels of the images that a model of timm is made for.

    Raises:
        MissingExtra, NameLookupError: as `require_timm`.
    """
    require_timm(name)
    configuration = library().models.get_pretrained_cfg(name)
    return configuration.input_size[-1] if configuration else 224


def created(name: str, arguments: Mapping[str, object]) -> "nn.Module":
    """Returns a model of timm without classifier, freshly initialised; fetches nothing.

    Raises:
        RecipeError: timm cannot build it so.
    """
    try:
        return library().create_model(name, num_classes=0, **arguments)
    except Exception as error:  # whatever timm's models raise
        raise RecipeError(
            f"timm cannot build {PREFIX}{name} so "
            f"({type(error).__name__}: {str(error).partition('. ')[0].rstrip('.')}); "
            "choose another model or setting"
        ) from error


def parameters_of(kind: "type[nn.Module]") -> set[str]:
    """Returns the names that the constructors of a class and of those it derives from take."""
    return {name for each in kind.__mro__ for name in signature(each.__init__).parameters}


def stated_licence(licence: str | None) -> str | None:
    """Returns the licence, or None where timm says that it is unknown."""
    return None if licence == "unknown" else licence


def tags_of(architecture: str) -> dict[str, Any]:
    """Returns timm's configurations of a model by tag, the default one first."""
    found: Mapping[str, Any] = library().models.get_arch_pretrained_cfgs(architecture)
    tags = {name.partition(".")[2]: each for name, each in found.items()}
    with suppress(RuntimeError):
        default = library().models.get_pretrained_cfg(architecture)
        tags = {tag: each for tag, each in tags.items() if each == default} | tags
    return tags


def weights_of(name: str) -> tuple[Weights, ...]:
    """Returns the weights that timm publishes for its model on the hub, the default ones first.

    A name with a tag has those of the tag only.
    """
    architecture, _, tag = name.partition(".")
    found = [
        _weights(architecture, each, configuration)
        for each, configuration in tags_of(architecture).items()
        if configuration.hf_hub_id and tag in ("", each)
    ]
    return tuple(found)


def _weights(architecture: str, tag: str, configuration: Any) -> Weights:
    return Weights(
        model=PREFIX + architecture,
        source=PREFIX + (f"{architecture}.{tag}" if tag else architecture),
        repository=configuration.hf_hub_id,
        filename=configuration.hf_hub_filename or "model.safetensors",
        licence=stated_licence(configuration.license),
        training_data=training_data(tag),
        classes=configuration.num_classes,
        image_size=configuration.input_size[-1],
        crop=configuration.crop_pct,
        interpolation=configuration.interpolation,
        mean=tuple(configuration.mean),
        std=tuple(configuration.std),
    )
