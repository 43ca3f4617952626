"""The public face: what `import vertebra` offers, and that it is cheap."""

import importlib
import inspect
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import vertebra


def test_public_names_are_sorted_and_listed_once():
    assert vertebra.__all__ == sorted(set(vertebra.__all__))


@pytest.mark.parametrize("name", vertebra.__all__)
def test_public_name_is_importable_and_documented(name):
    value = getattr(vertebra, name)
    assert isinstance(value, str) or inspect.getdoc(value)
    assert not isinstance(value, types.ModuleType)


def test_every_module_is_reachable_as_an_attribute(root: Path):
    folder = root / "src" / "vertebra"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert set(dir(vertebra)) - set(vertebra.__all__) == packages | modules
    for name in packages | modules:
        assert getattr(vertebra, name) is importlib.import_module(f"vertebra.{name}")


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'create_modle'"):
        vertebra.create_modle  # noqa: B018


def test_a_module_is_reachable_before_anything_imports_it():
    code = "import sys, vertebra; print(vertebra.recipes.load.__name__, 'torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stdout == "load False\n", found.stderr


def test_a_recipe_is_loaded_through_the_package_alone():
    assert vertebra.recipes.load("resnet-rs").name == "resnet-rs"


def test_version_is_the_one_that_is_built(root: Path):
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert vertebra.__version__ == project["version"]
