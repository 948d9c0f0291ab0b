"""Faces of packages whose modules load at first use (PEP 562), as DAG files are parsed often."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attach(package: str, exports: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for a package that imports its exported names at first use.

    :param package: its ``__name__``.
    :param exports: the module of each exported name: one within the package, or the whole dotted name of another.
        A module of the package that is exported itself goes by its own name.
    """

    def load(name: str) -> Any:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        place = exports[name]
        module = import_module(place if "." in place else f"{package}.{place}")
        value = module if place == name else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *exports})

    return load, names
