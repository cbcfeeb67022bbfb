"""Context of components that are built without a run."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from latte.interfaces import Context, LatteError
from latte.io.environment import cache_folder
from latte.registry.registry import Registry


def unbound_context(base_dir: Path, registry: Registry) -> Context:
    """Return a context on the CPU without a recipe or a CLIP."""
    return Context(base_dir.absolute(), cache_folder(), "cpu", 0, no_clip, registry.model_folder)


def no_clip() -> NoReturn:
    """Raise an error in place of returning the frozen CLIP."""
    raise LatteError("nothing is encoded here")
