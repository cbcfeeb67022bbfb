"""Options of the prototypes; importing them loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class FlypOptions(Options):
    """Options for drawing templates and for encoding the classifier."""

    templates: tuple[str, ...] = Field(
        default=(),
        description="names of the descriptions to draw from; none: every description of the "
        "recipe, and without any the dataset's template",
    )
    refresh: Literal["epoch", "step"] = Field(
        default="step",
        description="when the classifier, which gives `current` labels and is evaluated, is "
        "encoded again; epoch saves encoding every class in every step",
    )
