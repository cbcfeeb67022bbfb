"""Options of this package's components; importing this module does not import torch."""

from __future__ import annotations

from latte_transductive.options import TransductiveOptions
from pydantic import Field

from latte.api import Options


class ChoicesOptions(TransductiveOptions):
    """Options of `choices`: those of `transductive`, and the describer that gets the questions."""

    describer: str = Field(
        default="", description="name of the describer to ask; default: the recipe's first"
    )

    @property
    def questions_to(self) -> str:
        """Name of the describer to ask; empty for the recipe's first."""
        return self.describer


class PartialLabelOptions(Options):
    """Options of the loss `partial-labels`."""

    share: float = Field(
        default=0.9,
        ge=0.0,
        le=1.0,
        description="probability that the candidate classes of an image together reach; 0: only "
        "the most probable class",
    )
