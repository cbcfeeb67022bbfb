"""Options of this package's components; importing this loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class LabelPropagationOptions(Options):
    """Options of label propagation; the defaults are those of ReCLIP."""

    neighbours: int = Field(default=20, ge=1, description="nearest neighbours a node is linked to")
    alpha: float = Field(
        default=0.99, ge=0.0, lt=1.0, description="share of a node's score that its neighbours give"
    )
    iterations: int = Field(
        default=20,
        ge=1,
        description="steps of conjugate gradients at most; also how many links a class can reach",
    )
    tolerance: float = Field(
        default=1e-6, ge=0.0, description="length of the residual at which a class is solved"
    )
    projection: bool = Field(
        default=True, description="leave out the direction that all class texts share"
    )
    cut_dim: int = Field(
        default=768,
        ge=2,
        description="directions of the class texts that count, the shared one included; "
        "ReCLIP's authors use 250 for more than 500 classes",
    )
    agreement: bool = Field(
        default=True,
        description="only images that all learners label alike count; false: each learner "
        "trusts its own labels",
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
        description="weights: the mean over what counts; published: the mean over the batch "
        "divided by the sum of weights again, as the released code does for its visual learner, "
        "which makes its gradient smaller by the batch size",
    )
