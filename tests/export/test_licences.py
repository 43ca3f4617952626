"""A licence is chosen, never assumed."""

import pytest

from vertebra.errors import NameLookupError
from vertebra.export.licences import LICENCES, require_licence


def test_without_a_licence_the_common_ones_are_listed():
    with pytest.raises(NameLookupError, match=r"give --licence with one of apache-2\.0, mit, "):
        require_licence(None)


def test_a_misspelt_licence_offers_the_nearest_and_other():
    with pytest.raises(NameLookupError, match=r"did you mean 'apache-2\.0'\? \(`other` stands"):
        require_licence("apache-2")


@pytest.mark.parametrize("licence", LICENCES)
def test_a_listed_licence_is_taken(licence):
    assert require_licence(licence) == licence
