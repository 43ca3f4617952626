"""Thin commands: parse, look up, call, print."""
