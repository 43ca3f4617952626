"""Every way to learn that a recipe can hold."""

from typing import TypeAlias

from vertebra.methods.supervised import SupervisedSpec

MethodSpec: TypeAlias = SupervisedSpec

LABEL_FREE: tuple[type, ...] = ()
"""Those that learn without labels: their images may come without class folders."""
