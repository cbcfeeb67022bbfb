"""latte: adapt CLIP to your own unlabelled images.

`latte.adapt("photos", "classes.txt")` adapts CLIP to the images and returns the classifier;
`latte.load("adapted/photos-1a2b3c4d").predict("photos")` classifies images with the model of a
finished run. See docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latte.version import __version__ as __version__

if TYPE_CHECKING:
    from latte.interfaces.errors import LatteError as LatteError
    from latte.new.adapting import adapt as adapt
    from latte.new.model import load as load

__all__ = ["LatteError", "__version__", "adapt", "load"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `import latte` does not import torch."""
    if name == "load":
        from latte.new.model import load

        return load
    if name == "adapt":
        from latte.new.adapting import adapt

        return adapt
    if name == "LatteError":
        from latte.interfaces.errors import LatteError

        return LatteError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names alone."""
    return sorted(__all__)
