"""Options of this package's components; importing this loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class MultiMomentumOptions(Options):
    """Options of `multi-momentum`: LatteCLIP's, and those to initialise and re-seed prototypes."""

    prototypes: int = Field(
        default=3, ge=1, le=16, description="prototypes a class (K); 1: exactly `momentum`"
    )
    momentum: float = Field(
        default=0.99,
        ge=0.0,
        le=1.0,
        description="share of the prototype that a target keeps (1 - alpha of the paper)",
    )
    mixer: Literal["dynamic", "mean"] = Field(
        default="dynamic",
        description="dynamic: descriptions count by their weight times their margin between the "
        "two nearest classes; mean: by their weight alone",
    )
    margins: Literal["current", "epoch_start"] = Field(
        default="current",
        description="prototypes that margins are measured against: those of now, or those at "
        "the start of the epoch as in the released code",
    )
    normalize_targets: bool = Field(
        default=False,
        description="scale each target to unit length before the loss and the update",
    )
    initialise: Literal["descriptions", "groups", "template"] = Field(
        default="descriptions",
        description="descriptions, groups: the template moved towards clusters of what was "
        "written about the class's images or groups; template: moved in random directions",
    )
    description: str | None = Field(
        default=None,
        description="name of the description that is clustered; none: `image` for descriptions, "
        "`group` for groups",
    )
    weight: float = Field(
        default=0.5,
        ge=0.0,
        description="how far the first prototypes are from the template: template + weight x "
        "cluster centre, both of unit length",
    )
    spread: float = Field(
        default=0.1,
        gt=0.0,
        le=1.0,
        description="length of the random step by which a prototype parts from the one that it "
        "is made from",
    )
    floor: float = Field(
        default=0.1,
        ge=0.0,
        le=0.5,
        description="a prototype that images choose less often than this share of an even share "
        "is placed beside the class's most used one before the next epoch; 0: never",
    )


class GalleryOptions(Options):
    """Options of the report page `prototype-gallery`."""

    images: int = Field(default=3, ge=1, le=12, description="nearest images of each prototype")
    thumbnail: int = Field(
        default=96, ge=32, le=512, description="longer side of an image, in pixels"
    )
