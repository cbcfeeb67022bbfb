"""Description `image`."""

from __future__ import annotations

from latte.api import ImageDescription


class AboutImage(ImageDescription):
    """What one image shows."""
