import inspect
from dataclasses import dataclass, fields
from typing import Annotated, get_args, get_origin

from vertebra.cli.help_texts import with_help


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What two commands share."""

    shade: str = "grey"
    """A colour,
    and how it is spelt."""


@dataclass(frozen=True, kw_only=True)
class Flags(Shared):
    """A command."""

    size: int
    """In pixels."""
    plain: bool = False


def helps(arguments: type) -> dict[str, str]:
    """Returns field -> its help, of those that have one."""
    found = {}
    for each in fields(arguments):
        if get_origin(each.type) is Annotated:
            found[each.name] = get_args(each.type)[1].help
    return found


def test_each_docstring_is_one_line_of_help_of_its_own_field():
    described = with_help(Flags)
    assert helps(described) == {"shade": "A colour, and how it is spelt.", "size": "In pixels."}
    assert isinstance(described(size=3), Flags) and described(size=3).shade == "grey"


def test_flags_work_without_help_where_python_has_no_source(monkeypatch):
    def no_source(_: object) -> str:
        raise OSError("could not get source code")

    monkeypatch.setattr(inspect, "getsource", no_source)
    described = with_help(Flags)
    assert helps(described) == {}
    assert described(size=3).size == 3
