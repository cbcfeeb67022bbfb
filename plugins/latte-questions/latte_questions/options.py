"""Options of the labeler `choices`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latte.api import Options

FEWEST_QUESTIONS = 30
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ChoicesOptions(Options):
    """Options of `choices`: the describer to ask, and what to ask it."""

    ask: bool = Field(
        default=True, description="ask questions; false: the labels of the images alone"
    )
    describer: str = Field(
        default="", description="name of the describer to ask; default: the recipe's first"
    )
    names: bool = Field(default=False, description="ask for other names of the classes first")
    differences: bool = Field(
        default=False, description="ask first what distinguishes confused classes"
    )
    weight: float = Field(
        default=1.0, ge=0.0, description="multiplies this stream's loss; 0: there is no such stream"
    )

    @property
    def fewest_questions(self) -> int:
        """Smallest budget: with fewer answers, a describer that guesses may seem reliable."""
        return FEWEST_QUESTIONS

    @property
    def questions_to(self) -> str | None:
        """Name of the describer to ask; empty for the recipe's first describer; None for none."""
        return self.describer if self.ask else None
