"""Options of the prototypes `flyp`; importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latte.api import Options


class FlypOptions(Options):
    """Options of `flyp`: the templates to sample from, and when to encode the classifier again."""

    templates: tuple[str, ...] = Field(
        default=(),
        description="names of the descriptions from which texts are drawn; none: all descriptions "
        "of the recipe or, if it has none, the dataset's template",
    )
    refresh: Literal["epoch", "step"] = Field(
        default="step",
        description="when the classifier is encoded again; it gives `current` labels and is "
        "evaluated. epoch: not every step encodes every class",
    )
