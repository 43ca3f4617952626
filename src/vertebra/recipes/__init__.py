"""Whole runs as values."""

from vertebra.recipes.shelf import load

__all__ = ["load"]
