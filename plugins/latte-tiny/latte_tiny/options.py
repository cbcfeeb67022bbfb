"""Options of the dataset, apart from it so that checking a recipe imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from latte.api import Options


class TinyCaltechOptions(Options):
    """There is little to choose."""

    template: str = Field(
        default="a photo of a {class}.",
        pattern=r"\{class\}",
        description="sentence that stands for a class; {class} becomes its name",
    )
