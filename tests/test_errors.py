"""Every error that a user meets has an exit code and one parent."""

import builtins
import inspect

import pytest

from vertebra import errors

CODES = {"NonFiniteError": 3, "Interrupted": 75}
CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", [each for each in CLASSES if issubclass(each, Exception)])
def test_an_error_is_a_vertebra_error_with_its_exit_code(error):
    assert issubclass(error, errors.VertebraError)
    assert error("found 1 class, expected 2").exit_code == CODES.get(error.__name__, 2)


def test_no_error_hides_a_built_in_one():
    assert [each.__name__ for each in CLASSES if hasattr(builtins, each.__name__)] == []


def test_codes_are_those_of_a_shell():
    codes = {each.exit_code for each in CLASSES if issubclass(each, errors.VertebraError)}
    assert codes == {2, 3, 75}, "0 is success, 1 a defect of ours, above 125 the shell's own"
