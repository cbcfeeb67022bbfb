"""latte: adapt CLIP to unlabelled images.

`latte.load("runs/NAME").predict("photos")` uses the model of a run; see docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latte.version import __version__ as __version__

if TYPE_CHECKING:
    from latte.predict.predictor import load as load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` at its first use, so that `import latte` does not load torch."""
    if name == "load":
        from latte.predict.predictor import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
