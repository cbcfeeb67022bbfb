"""Bodies of the requests that the review page sends."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from latte.review.outputs import OutputName
from latte.review.views import View


class _Body(BaseModel):
    """Base class of bodies: types are exact, and no key is unknown."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


class PhotoMark(_Body):
    """A person's answer about the photo with this index."""

    photo: int
    kind: Literal["class", "none", "unsure"]
    class_: int | None = Field(None, alias="class")


class Answered(_Body):
    """Body of a request that saves the answers to one question."""

    question: str = ""
    view: View
    marks: list[PhotoMark]
    seen: list[int]
    label: int | None = None
    skip: int = Field(0, ge=0)


class WantedName(_Body):
    """Body of a request that names the class `label`, or a new class without one."""

    label: int | None
    name: str


class WantedOutput(_Body):
    """Body of a request that writes labels beside the photos."""

    output: OutputName
