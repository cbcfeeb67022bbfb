"""Options of the labeler `choices`; importing this loads no torch."""

from __future__ import annotations

from latte_transductive.options import TransductiveOptions
from pydantic import Field


class ChoicesOptions(TransductiveOptions):
    """Options of the labeler `choices`: those of `transductive`, and the describer to ask."""

    describer: str = Field(
        default="", description="name of the describer to ask; default: the recipe's first"
    )

    @property
    def questions_to(self) -> str:
        """Name of the describer to ask; empty for the recipe's first."""
        return self.describer
