"""Description types of this package: `image` and `group` with other default options."""

from __future__ import annotations

from latte.api import GroupDescription, ImageDescription
from latte_scenes.options import AttributesOptions, ObjectsOptions, SceneOptions


class SceneDescription(ImageDescription[SceneOptions]):
    """Description of the place where an image was taken."""


class ObjectsDescription(ImageDescription[ObjectsOptions]):
    """Description of the objects in an image."""


class AttributesDescription(GroupDescription[AttributesOptions]):
    """Description of the common appearance of the objects of several images."""
