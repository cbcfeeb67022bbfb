"""latte: adapt CLIP to your own unlabelled images.

`latte.adapt("photos", "classes.txt")` adapts and returns a classifier;
`latte.load("adapted/photos-1a2b3c4d").predict("photos")` uses a run's model; see docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latte.version import __version__ as __version__

if TYPE_CHECKING:
    from latte.new.adapting import adapt as adapt
    from latte.predict.predictor import load as load

__all__ = ["__version__", "adapt", "load"]


def __getattr__(name: str) -> Any:
    """Import `adapt` and `load` at first use: `import latte` imports no torch."""
    if name == "load":
        from latte.predict.predictor import load

        return load
    if name == "adapt":
        from latte.new.adapting import adapt

        return adapt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
