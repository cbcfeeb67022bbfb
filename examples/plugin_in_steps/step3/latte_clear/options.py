"""Options of the labeler, in a module that imports no torch."""

from __future__ import annotations

from latte.api import Options
from pydantic import Field


class ClearOptions(Options):
    """Options of the labeler `clear`."""

    margin: float = Field(
        default=0.02, ge=0, le=2, description="least lead of the best class, in cosine"
    )
