"""Options of this package's components; importing this loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from latte.api import Options

Images = Annotated[float, Field(ge=0.0)]


class MixtureOptions(Options):
    """How far images may move a classifier away from the class texts."""

    image_weight: float = Field(
        default=1.5,
        gt=0.0,
        description="how far the images' Gaussians spread the classes apart, relative to the texts",
    )
    anchor_images: tuple[Images, Images] = Field(
        default=(1.0, 5.0),
        description="images that a class's text counts as in the mean of its class: where all "
        "classes have as many images, and where hardly any class has images",
    )
    debias: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="share of each class's mean similarity over the images that is taken out where "
        "all classes have as many images; less where they have not",
    )
    neighbours: int = Field(
        default=10, ge=0, description="nearest images whose classes count for an image; 0: none"
    )
    neighbour_weight: float = Field(
        default=20.0,
        ge=0.0,
        description="how much the mean of the neighbours' classes counts where all neighbours have "
        "the same zero-shot label; it falls with the square of their agreement beyond chance",
    )
    iterations: int = Field(
        default=10, ge=1, description="how often the classes' means and variances are updated"
    )


class TransductiveOptions(MixtureOptions):
    """What decides an image's class: its text similarities and the cluster that it lies in."""

    prior: Literal["zero_shot", "current"] = Field(
        default="zero_shot",
        description="whose similarities are the prior: those of the zero-shot classifier, or of "
        "the learner's prototypes as they are when the epoch starts",
    )
    confidence: bool = Field(
        default=False,
        description="images count by their label's probability; false: all images count alike",
    )
    weight: float = Field(
        default=1.0, ge=0.0, description="multiplies this stream's loss; 0: there is no such stream"
    )


class EvidenceOptions(MixtureOptions):
    """How much evidence it takes to move away from zero-shot."""

    whole_from: float = Field(
        default=0.75,
        ge=0.0,
        le=1.0,
        description="probability that adapting helps from which the candidate is taken whole",
    )
    half_from: float = Field(
        default=0.65,
        ge=0.0,
        le=1.0,
        description="probability from which it is taken half, in runs without training; below it "
        "zero-shot is kept",
    )
