"""Built-in description types: a class template, or a text about an image or a group."""

from __future__ import annotations

from latte.api import (
    ClassDescription,
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
)


class ClassTemplate(ClassDescription):
    """The class name inserted into a template: the option `template`, else the dataset's."""


class AboutImage(ImageDescription[ImageOptions]):
    """Description of one image."""


class AboutGroup(GroupDescription[GroupOptions]):
    """Description of what the images of a group have in common (LatteCLIP, section 3.1).

    Zero-shot CLIP gives all images of a group the same class.
    """
