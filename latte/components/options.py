"""Options of the built-in labelers, prototypes and losses; importing this loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import ClassFeatureRefresh, Options


class FrozenOptions(Options):
    """How much the zero-shot labels teach."""

    weight: float = Field(
        default=1.0,
        ge=0.0,
        description="multiplies this stream's loss (lambda_zs); 0: there is no such stream, "
        "and prototypes do not follow it",
    )


class CurrentOptions(Options):
    """How much the labels of the current prototypes teach."""

    weight: float = Field(
        default=1.0,
        ge=0.0,
        description="multiplies this stream's loss (lambda_ft); 0: there is no such stream, "
        "and prototypes do not follow it",
    )


class TemplateOptions(Options):
    """When the class templates are encoded again with the text tower being trained."""

    refresh: ClassFeatureRefresh = Field(
        default="start",
        description="start: never again; epoch: before every epoch, without gradient; "
        "step: before every step, with gradient into the text tower",
    )


class MomentumOptions(Options):
    """How prototypes follow the mixed descriptions; defaults are LatteCLIP's."""

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


class AnchoredOptions(Options):
    """How far prototypes leave their class's text for the centre of its images."""

    image_weight: float = Field(
        default=0.6, ge=0, le=1, description="share of the image centre in a class of many images"
    )
    shrinkage: float = Field(
        default=3.0, ge=0, description="images at which a class has half of that share"
    )
    sharpness: float = Field(
        default=2.0, gt=0, description="times the logit scale: high means each image has one class"
    )
    rounds: int = Field(default=3, ge=1, le=100, description="estimates, each from the last")


class ReEstimatedOptions(Options):
    """How prototypes follow frozen features, before the first step."""

    rounds: int = Field(
        default=10,
        ge=1,
        description="updates over the whole training set; fewer if nothing moves any more",
    )
    momentum: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="share of the prototype that a target keeps in a round; it says how fast "
        "prototypes move, not where to",
    )
    mixer: Literal["dynamic", "mean"] = Field(
        default="dynamic",
        description="dynamic: descriptions count by their weight times their margin between the "
        "two nearest classes; mean: by their weight alone",
    )
    image_weight: float = Field(
        default=0.4,
        ge=0.0,
        le=1.0,
        description="share of the images themselves, moved among the texts, beside their "
        "descriptions; 0: descriptions alone",
    )


class ContrastiveOptions(Options):
    """What counts as a positive pair, and how sharp the comparison is."""

    positives: Literal["diagonal", "multi", "ignore"] = Field(
        default="diagonal",
        description="diagonal: only an image's own target, as published; multi: the targets of "
        "all images with the same label, in equal shares; ignore: only its own, and the others "
        "with the same label are left out",
    )
    logit_scale: float | None = Field(
        default=None,
        gt=0.0,
        description="fixed factor of the cosine similarities; none: the backbone's learned one",
    )
