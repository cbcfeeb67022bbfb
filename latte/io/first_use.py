"""Import public names at their first use, so that a package loads quickly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def at_first_use(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package whose names are in these `modules`.

    Type checkers must not see it, else they accept a misspelt name: define it under
    `if not TYPE_CHECKING`.
    """

    def get(name: str) -> object:
        if name in modules:
            return getattr(import_module(modules[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
