"""Files of scikit-learn, read without it, are what it reads."""

import subprocess
import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from vertebra.data import bundled
from vertebra.data.bundled import read_bundled
from vertebra.data.photos import PHOTOS, open_photo
from vertebra.errors import DataError


@pytest.mark.parametrize("name", PHOTOS)
def test_photographs_are_scikit_learns(name: str):
    assert np.array_equal(open_photo(name), load_sample_image(f"{name}.jpg"))


def test_scikit_learn_is_not_imported():
    program = (
        "import sys; from vertebra.data.digits import open_digits; open_digits();"
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "scikit-learn, which brings these images, is missing"),
        (ModuleSpec("sklearn", None, origin="/nowhere/sklearn/__init__.py"), "has no .*china.jpg"),
    ],
)
def test_what_is_missing_is_said(found, message, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundled, "find_spec", lambda name: found)
    with pytest.raises(DataError, match=message):
        read_bundled("images/china.jpg")
