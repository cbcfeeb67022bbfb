"""Options of the built-in reporters; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from latte.interfaces import Options


class HtmlOptions(Options):
    """How much the page shows."""

    gallery: int = Field(default=60, ge=0, description="training images in the gallery")
    thumbnail: int = Field(
        default=160, ge=32, le=1024, description="longer side of a gallery image, in pixels"
    )
