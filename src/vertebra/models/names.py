"""How other libraries call our parts, as rules over names."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

Rule: TypeAlias = tuple[str, str | Callable[[re.Match[str]], str]]
"""A regular expression, and what stands in its place, as `re.sub` takes them."""


class Names(NamedTuple):
    """The names of one library for the tensors of one architecture.

    rules: applied one after another to our name of a tensor, which starts with `head.` in the head
           and in the backbone with the name of its part.
    heads: prefixes of the other library's names of the classifier's last layers.
    """

    library: str
    rules: Sequence[Rule]
    heads: Sequence[str]

    def translate(self, name: str) -> str:
        """Returns the other library's name for the tensor that a `Classifier` calls `name`."""
        name = name.removeprefix("backbone.")
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name

    def is_of_head(self, foreign: str) -> bool:
        """Whether the other library's tensor belongs to the head."""
        return foreign.startswith(tuple(f"{head}." for head in self.heads))
