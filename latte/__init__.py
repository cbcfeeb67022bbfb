"""latte: adapt CLIP to your own unlabelled images.

`latte.adapt("photos", "classes.txt")` adapts CLIP to the images and returns the classifier;
`latte.load("adapted/photos-1a2b3c4d").predict("photos")` classifies images with the model of a
finished run. See docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte.io.first_use import at_first_use
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
    __getattr__ = at_first_use(__name__, _AT_FIRST_USE)

__all__ = ["LatteError", "Model", "__version__", "adapt", "load"]


def __dir__() -> list[str]:
    """Return the public names alone."""
    return sorted(__all__)
