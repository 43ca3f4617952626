"""Vertebra trains, scales and transfers vision backbones; its training recipes are values.

`import vertebra` is cheap: everything that needs torch is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vertebra.models.shelf import create_backbone
    from vertebra.recipes.deploy import load_run
    from vertebra.recipes.recipe import Recipe
    from vertebra.recipes.run import run
    from vertebra.recipes.vary import vary
    from vertebra.tasks.classify import create_model

__version__ = "0.1.0"

__all__ = [
    "Recipe",
    "__version__",
    "create_backbone",
    "create_model",
    "load_run",
    "run",
    "vary",
]

_HOMES = {
    "Recipe": "vertebra.recipes.recipe",
    "create_backbone": "vertebra.models.shelf",
    "create_model": "vertebra.tasks.classify",
    "load_run": "vertebra.recipes.deploy",
    "run": "vertebra.recipes.run",
    "vary": "vertebra.recipes.vary",
}
_MODULES = (
    "bench",
    "cli",
    "contracts",
    "cores",
    "data",
    "duration",
    "engine",
    "errors",
    "export",
    "layers",
    "lookup",
    "methods",
    "models",
    "recipes",
    "records",
    "report",
    "seeding",
    "studies",
    "tasks",
    "uncompiled",
)


def __getattr__(name: str) -> object:
    """Returns a public name, or a module of the package, on first use."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"vertebra.{name}")
    raise AttributeError(f"module 'vertebra' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns what `__getattr__` finds."""
    return sorted({*__all__, *_MODULES})
