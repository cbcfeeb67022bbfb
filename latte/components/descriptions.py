"""Built-in description types: the template of a class, a text about an image or a group."""

from __future__ import annotations

from latte.api import (
    ClassDescription,
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
)


class ClassTemplate(ClassDescription):
    """Template in the options or, without one, of the dataset, with the class name."""


class AboutImage(ImageDescription[ImageOptions]):
    """Description of one image."""


class AboutGroup(GroupDescription[GroupOptions]):
    """Description of what several images of one zero-shot label share (LatteCLIP, section 3.1)."""
