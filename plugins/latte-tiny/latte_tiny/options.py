"""Options of the dataset, in a separate module, so that checking a recipe imports little."""

from __future__ import annotations

from pydantic import Field

from latte.api import Options


class TinyCaltechOptions(Options):
    """Options of the dataset `tiny-caltech`."""

    template: str = Field(
        default="a photo of a {class}.",
        pattern=r"\{class\}",
        description="sentence that stands for a class; {class} becomes its name",
    )
