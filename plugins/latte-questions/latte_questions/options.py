"""Options of this package's components; importing this module does not import torch."""

from __future__ import annotations

from latte_transductive.options import Share, TransductiveOptions
from pydantic import Field, model_validator

from latte.api import Options


class ChoicesOptions(TransductiveOptions):
    """Options of `choices`: the options of `transductive`, and the describer to ask."""

    describer: str = Field(
        default="", description="name of the describer to ask; default: the recipe's first"
    )
    names: bool = Field(
        default=False,
        description="ask for other names of the classes first; needs prior: zero_shot",
    )
    differences: bool = Field(
        default=False,
        description="ask what distinguishes confused classes, after the clusters; needs prior: "
        "zero_shot",
    )

    @model_validator(mode="after")
    def _has_texts(self) -> ChoicesOptions:
        if self.prior != "zero_shot" and (self.names or self.differences):
            raise ValueError("names and differences change the zero-shot texts: prior: zero_shot")
        return self

    @property
    def questions_to(self) -> str:
        """Name of the describer to ask; empty for the recipe's first describer."""
        return self.describer


class PartialLabelOptions(Options):
    """Options of the loss `partial-labels`."""

    share: Share = Field(
        default=0.9,
        description="probability that the candidate classes of an image together reach; 0: only "
        "the most probable class",
    )
