"""Functions by name: what makes a result, or puts it into words, is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module


def named(name: str) -> Callable:
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def later(name: str) -> Callable:
    """A function that imports the one of a name when it is called, and calls that."""
    return lambda *arguments: named(name)(*arguments)
