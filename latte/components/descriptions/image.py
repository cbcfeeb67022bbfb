"""Description `image`: a text about one image."""

from __future__ import annotations

from latte.api import ImageDescription


class AboutImage(ImageDescription):
    """Description of one image."""
