"""What help says of each flag, in one line for tyro to break: it would keep the source's lines."""

import ast
import inspect
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any

from tyro.conf import arg


def with_help(arguments: type) -> type:
    """Returns a subclass of a dataclass of flags whose docstrings are their help."""
    texts: dict[str, str] = {}
    for each in reversed(arguments.__mro__):
        if is_dataclass(each):
            texts |= _docstrings(each)
    described: list[tuple[str, Any, Any]] = []
    for each in fields(arguments):
        if each.name in texts:
            kind = Annotated[each.type, arg(help=texts[each.name])]
            described.append((each.name, kind, _default(each)))
    return make_dataclass(
        arguments.__name__,
        described,
        bases=(arguments,),
        namespace={"__doc__": arguments.__doc__},
        frozen=True,
        kw_only=True,
    )


def _docstrings(described: type) -> dict[str, str]:
    """Returns field -> the docstring below it; nothing where Python has no source, as tyro."""
    try:
        source = inspect.getsource(described)
    except OSError:
        return {}
    (tree,) = ast.parse(dedent(source)).body
    found: dict[str, str] = {}
    for line, below in pairwise(getattr(tree, "body", [])):
        match line, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(text))
            ):
                found[name] = " ".join(text.split())
            case _:
                pass
    return found


def _default(one: Any) -> Any:
    if one.default_factory is not MISSING:
        return field(default_factory=one.default_factory)
    return field() if one.default is MISSING else field(default=one.default)
