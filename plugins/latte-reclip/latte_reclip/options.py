"""Options of this package's components; importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class LabelPropagationOptions(Options):
    """Options of label propagation; the defaults are those of ReCLIP."""

    neighbours: int = Field(default=20, ge=1, description="nearest neighbours per node")
    alpha: float = Field(
        default=0.99, ge=0.0, lt=1.0, description="share of a node's score from its neighbours"
    )
    iterations: int = Field(
        default=20,
        ge=1,
        description="largest number of conjugate gradient steps, and of links over which a class "
        "spreads",
    )
    tolerance: float = Field(
        default=1e-6, ge=0.0, description="length of the residual at which the solver stops"
    )
    projection: bool = Field(
        default=True, description="leave out the direction that all class texts share"
    )
    cut_dim: int = Field(
        default=768,
        ge=2,
        description="number of directions of the class texts that are used, including the shared "
        "one; ReCLIP's authors use 250 for more than 500 classes",
    )
    agreement: bool = Field(
        default=True,
        description="true: images that learners label differently have weight 0; false: each "
        "learner uses its own labels",
    )


class MaskedCrossEntropyOptions(Options):
    """Options of the loss `masked-cross-entropy`: logit scale and normalisation."""

    logit_scale: float | None = Field(
        default=100.0,
        gt=0.0,
        description="fixed factor of the cosine similarities; none: the backbone's learned one",
    )
    normalization: Literal["weights", "published"] = Field(
        default="weights",
        description="weights: the mean, weighted by image; published: the mean over the batch, "
        "divided again by the sum of weights, as in the released code for the visual learner; "
        "its gradient is then smaller by the batch size",
    )
