"""Description types `scene`, `objects` and `attributes`, each with its default question."""

from __future__ import annotations

from pydantic import Field

from latte.api import GroupDescription, GroupOptions, ImageDescription, ImageOptions

ASKED = "question to the describer, or a list of questions; {class} is the zero-shot label"
COUNTS = "weight of its texts if prototypes mix several descriptions"


class SceneOptions(ImageOptions):
    """Options of `scene`; its weight is low, because surroundings say less about the class."""

    prompt: str | tuple[str, ...] = Field(
        default="Describe the scene in the photo and what surrounds the object, "
        "concisely, less than 20 words.",
        description=ASKED,
    )
    weight: float = Field(default=0.5, gt=0, allow_inf_nan=False, description=COUNTS)


class SceneDescription(ImageDescription[SceneOptions]):
    """Description of the place where an image was taken."""


class ObjectsOptions(ImageOptions):
    """Options of `objects`, which asks for all objects: a small object may be the class."""

    prompt: str | tuple[str, ...] = Field(
        default="List the objects in the photo, the largest first, less than 20 words.",
        description=ASKED,
    )


class ObjectsDescription(ImageDescription[ObjectsOptions]):
    """Description of the objects in an image."""


class AttributesOptions(GroupOptions):
    """Options of `attributes`, which asks for the appearance that images of a group share."""

    prompt: str | tuple[str, ...] = Field(
        default="Describe which colours, shapes, textures and materials the objects in all the "
        "photos share, concisely, less than 20 words.",
        description=ASKED,
    )


class AttributesDescription(GroupDescription[AttributesOptions]):
    """Description of the common appearance of the objects of several images."""
