"""Built-in description types: the template of a class, a text about an image or a group."""

from __future__ import annotations

from latte.api import ClassDescription, GroupDescription, ImageDescription


class ClassTemplate(ClassDescription):
    """Template in the options or, without one, of the dataset, with the class name."""


class AboutImage(ImageDescription):
    """Description of one image."""


class AboutGroup(GroupDescription):
    """Common description of several images of one zero-shot label (LatteCLIP, section 3.1)."""
