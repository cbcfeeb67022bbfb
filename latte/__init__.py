"""latte: adapt CLIP to your own unlabelled images.

`latte.adapt("photos", "classes.txt")` adapts CLIP to the images and returns the classifier;
`latte.load("adapted/photos-1a2b3c4d").predict("photos")` classifies images with the model of a
finished run. See docs/python.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from latte.version import __version__ as __version__

_AT_FIRST_USE = {
    "LatteError": "latte.interfaces.errors",
    "Model": "latte.new.model",
    "adapt": "latte.new.adapting",
    "load": "latte.new.model",
}

if TYPE_CHECKING:
    from latte.interfaces.errors import LatteError as LatteError
    from latte.new.adapting import adapt as adapt
    from latte.new.model import Model as Model
    from latte.new.model import load as load
else:

    def __getattr__(name: str) -> object:
        """Import a public name at its first use, so that `import latte` does not import torch."""
        if name in _AT_FIRST_USE:
            return getattr(import_module(_AT_FIRST_USE[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["LatteError", "Model", "__version__", "adapt", "load"]


def __dir__() -> list[str]:
    """Return the public names alone."""
    return sorted(__all__)
