"""Options of this package's components; importing this loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class TransductiveOptions(Options):
    """What decides an image's class: its text similarities, its cluster, its neighbours."""

    prior: Literal["zero_shot", "current"] = Field(
        default="zero_shot",
        description="whose similarities are the prior: those of the zero-shot classifier, or of "
        "the learner's prototypes as they are when the epoch starts",
    )
    debias: bool = Field(
        default=False,
        description="take each class's mean over all images out of the prior, so that no text is "
        "near to everything; only where no class has far more images than others",
    )
    likelihood_weight: float = Field(
        default=0.1,
        gt=0.0,
        description="how much the Gaussians' log-likelihood counts; 1 would take a feature's "
        "numbers for independent",
    )
    neighbour_weight: float = Field(
        default=10.0, ge=0.0, description="how much the mean of the neighbours' classes counts"
    )
    neighbours: int = Field(default=10, ge=1, description="nearest neighbours of an image")
    anchors: int = Field(
        default=8, ge=1, description="images of highest prior that a class's first mean is made of"
    )
    iterations: int = Field(
        default=10, ge=1, description="how often the classes' means and variances are updated"
    )
    confidence: bool = Field(
        default=False,
        description="images count by their label's probability; false: all images count alike",
    )
    weight: float = Field(
        default=1.0, ge=0.0, description="multiplies this stream's loss; 0: there is no such stream"
    )
