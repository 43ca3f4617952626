"""What no method may take in silence."""

from typing import get_args

import pytest
from tests.methods.shown import shown

from vertebra.data.beside import Beside
from vertebra.errors import RecipeError
from vertebra.methods.learning import LearningSpec
from vertebra.methods.specs import MethodSpec

KINDS = get_args(MethodSpec)
TAKE_BESIDE = {"FixMatchSpec", "NoisyStudentSpec"}
NEED_NO_LABELS = {"ArchNetDistillSpec", "BYOLSpec", "DistillSpec", "SimCLRSpec"}


def test_every_description_says_what_it_needs():
    assert all(issubclass(kind, LearningSpec) for kind in KINDS)
    assert {kind.__name__ for kind in KINDS if kind().takes_beside} == TAKE_BESIDE
    assert {kind.__name__ for kind in KINDS if not kind().needs_labels} == NEED_NO_LABELS


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__name__ not in TAKE_BESIDE])
def test_images_beside_that_would_be_ignored_are_refused(kind):
    with pytest.raises(RecipeError, match=f"{kind.__name__} has no use for images beside"):
        kind().check(shown(beside=Beside()))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__name__ not in NEED_NO_LABELS])
def test_images_without_the_labels_that_are_needed_are_refused(kind):
    with pytest.raises(RecipeError, match=f"{kind.__name__} needs labels"):
        kind().check(shown(elsewhere=True))
