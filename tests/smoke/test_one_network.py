"""Methods of one network learn where a bright square stands, on drawn images, in seconds."""

import pytest
from tests.smoke.square import learnt, plain

from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

pytestmark = pytest.mark.usefixtures("no_page")


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("gradient-tampering", {}),
        ("cosub", {}),
        ("mixskd", {"method.adversarial": False}),
        ("mixskd", {"method.adversarial": True}),
    ],
)
def test_it_learns_where_the_square_is(method, changes, tmp_path):
    recipe = vary(learn(plain(), method, Wishes()).recipe, changes)
    assert learnt(recipe, tmp_path).figures["top1"] >= 0.7
