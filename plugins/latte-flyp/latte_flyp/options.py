"""Options of the prototypes `flyp`; importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class FlypOptions(Options):
    """Options of `flyp`: the templates to draw from, and when the classifier is encoded."""

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
