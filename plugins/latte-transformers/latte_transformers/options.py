"""Options of the backbone `transformers`; importing this module does not import torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latte.api import IsPath, Options


class TransformersOptions(Options):
    """Options of the backbone `transformers`: the checkpoint and its revision."""

    model: Annotated[str, IsPath(r"(?P<path>[.~/].*)")] = Field(
        min_length=1,
        description="a folder that `save_pretrained` or `hf download` wrote, relative to the "
        "recipe; or a model of the Hugging Face hub",
    )
    revision: str | None = Field(
        default=None, description="branch, tag or commit of a model of the hub; null: its newest"
    )
