"""Bodies and queries of the requests that the review page sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from latte.interfaces import LatteError
from latte.review.outputs import OutputName
from latte.review.views import Place, View

_ASKING: Sequence[View] = ("groups", "measure", "doubtful")


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


def place_in(request: Request) -> Place:
    """Return the place that a request's query names. Raises `LatteError` for another one."""
    name = request.query_params.get("view", "groups")
    view = next((view for view in _ASKING if view == name), None)
    if view is None:
        raise LatteError("there is no such view", hint=f"one of: {', '.join(_ASKING)}")
    if view != "doubtful":
        return Place(view)
    label = None if "label" not in request.query_params else number_in(request, "label")
    return Place(view, label, number_in(request, "skip", 0))


def number_in(request: Request, name: str, default: int | None = None) -> int:
    """Return a number in a request's query. Raises `LatteError` if it is none."""
    text = request.query_params.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise LatteError(f"{name} is no number")
    return int(text)
