"""Options of this package's components; importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class MultiMomentumOptions(Options):
    """Options of `multi-momentum`: the options of `momentum`, and others for several prototypes.

    The other options control how prototypes are initialised, and when rarely used ones are moved.
    """

    prototypes: int = Field(
        default=3, ge=1, le=16, description="prototypes a class (K); 1: exactly `momentum`"
    )
    momentum: float = Field(
        default=0.99,
        ge=0.0,
        le=1.0,
        description="weight of the old prototype in a target (1 - alpha in the paper)",
    )
    mixer: Literal["dynamic", "mean"] = Field(
        default="dynamic",
        description="how texts are averaged. dynamic: by the description's weight times the text's "
        "margin between its two nearest classes; mean: by the description's weight alone",
    )
    margins: Literal["current", "epoch_start"] = Field(
        default="current",
        description="prototypes for the margins: the current ones, or those at the start of the "
        "epoch as in the released code",
    )
    initialise: Literal["descriptions", "groups", "template"] = Field(
        default="descriptions",
        description="descriptions, groups: the template is moved towards clusters of the texts "
        "about the class's images or groups; template: it is moved in random directions",
    )
    description: str | None = Field(
        default=None,
        description="name of the description that is clustered; none: `image` for descriptions, "
        "`group` for groups",
    )
    weight: float = Field(
        default=0.5,
        ge=0.0,
        description="weight of the cluster centre in the first prototypes: template + weight x "
        "cluster centre, both of unit length",
    )
    spread: float = Field(
        default=0.1,
        gt=0.0,
        le=1.0,
        description="length of the random step between a prototype and the vector from which it "
        "is made",
    )
    floor: float = Field(
        default=0.1,
        ge=0.0,
        le=0.5,
        description="smallest use of a prototype, relative to equal use of all; a less used one "
        "is placed beside the class's most used prototype before the next epoch; 0: never",
    )


class GalleryOptions(Options):
    """Options of the report page `prototype-gallery`."""

    images: int = Field(default=3, ge=1, le=12, description="nearest images of each prototype")
    thumbnail: int = Field(
        default=96, ge=32, le=512, description="longer side of an image, in pixels"
    )
