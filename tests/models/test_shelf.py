import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

import pytest

from vertebra.errors import NameLookupError
from vertebra.models import __path__ as PATH
from vertebra.models import resnet_rs
from vertebra.models.shelf import SHELF, create_backbone, find_spec, model_names, title


def test_the_shelf_and_the_named_specs_are_the_same():
    modules = [import_module(f"vertebra.models.{each.name}") for each in iter_modules(PATH)]
    named = {module.__name__: set(getattr(module, "NAMED", ())) for module in modules}
    shelved = {module: {n for n in SHELF if SHELF[n].family.module == module} for module in named}
    assert named == shelved
    assert model_names() == list(SHELF)


@pytest.mark.parametrize("name", SHELF)
def test_every_name_resolves_and_is_described(name):
    family, summary, image_size = SHELF[name]
    assert find_spec(name).build is not None
    assert family.name
    assert family.source
    assert summary
    assert image_size > 0


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(NameLookupError, match="unknown model 'resnet5O'; did you mean 'resnet50'"):
        create_backbone("resnet5O")


def test_a_spec_is_described_by_its_name_or_by_what_differs_from_the_nearest():
    assert title(find_spec("seresnet50")) == "seresnet50"
    small = replace(resnet_rs.resnet_rs(26), width=0.5)
    assert title(small) == "resnetrs26 with width=0.5"


def test_the_shelf_is_read_without_torch():
    code = "import sys; import vertebra.models.shelf; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
