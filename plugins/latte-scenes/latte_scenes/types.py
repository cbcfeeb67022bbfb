"""The types. Scope, prompts, samples and groups come from latte's own `image` and `group`."""

from __future__ import annotations

from latte.api import GroupDescription, ImageDescription


class SceneDescription(ImageDescription):
    """Where one image was taken."""


class ObjectsDescription(ImageDescription):
    """Which things one image shows."""


class AttributesDescription(GroupDescription):
    """How the objects of several images look, whatever they are called."""
