"""Bodies of the requests that the review page sends."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from latte.review.outputs import OutputName
from latte.review.views import View


class PhotoMark(BaseModel):
    """A person's answer about the photo with this index."""

    model_config = ConfigDict(extra="forbid", strict=True)

    photo: int
    kind: Literal["class", "none", "unsure"]
    class_: int | None = Field(None, alias="class")


class Answered(BaseModel):
    """Body of a request that saves the answers to one question."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: str = ""
    view: View
    marks: list[PhotoMark]
    seen: list[int]
    label: int | None = None
    skip: int = Field(0, ge=0)


class WantedName(BaseModel):
    """Body of a request that names the class `label`, or a new class without one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: int | None
    name: str


class WantedOutput(BaseModel):
    """Body of a request that writes labels beside the photos."""

    model_config = ConfigDict(extra="forbid", strict=True)

    output: OutputName
