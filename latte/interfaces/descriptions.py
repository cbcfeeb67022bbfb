"""Descriptions: who writes them (`Describer`) and what is asked (`DescriptionType`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

Scope = Literal["class", "image", "group"]


@dataclass(frozen=True)
class DescribedImage:
    """An image that a describer is asked about; pixels are decoded only when it opens them."""

    key: str
    """Hash of the encoded image: equal for equal files, whatever they are called."""
    features: Tensor
    """The frozen CLIP's unit feature (D,), on the CPU, which the engine has at hand anyway."""
    open: Callable[[], Image.Image]
    """Decode to RGB."""


@dataclass(frozen=True)
class DescribeRequest:
    """One question about 1..`max_images` images (or one grid that shows several)."""

    images: tuple[DescribedImage, ...]
    prompt: str


class Describer(Component[OptionsT]):
    """Answers "what do these images show?". The engine batches, retries and stores the answers."""

    @property
    def max_images(self) -> int:
        """How many images one request may hold. With 1, a group arrives as a single grid."""
        return 1

    @property
    def batch_size(self) -> int:
        """How many requests one call of `describe` should get; never part of the fingerprint."""
        return 32

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Names model, revision and decoding: equal fingerprints promise equal texts."""

    @abstractmethod
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """One text for each request, in their order. An empty text counts as a refusal."""

    def close(self) -> None:
        """Free what the describer holds; it is not used afterwards."""


class DescriptionType(Component[OptionsT]):
    """Answers "what do we ask about?": a scope and a prompt."""

    scope: ClassVar[Scope]

    @property
    def group_size(self) -> int:
        """How many images of one frozen pseudo-label a group shows; 1 for the other scopes."""
        return 1

    @property
    def correct_images(self) -> int | None:
        """How many images of a group are truly of its class; None: groups are drawn without labels.

        A number makes the run an oracle, and comes from one of the options' `oracle_options`.
        """
        return None

    @abstractmethod
    def prompt(self, class_name: str) -> str:
        """What the describer is asked about an image or group whose frozen label is `class_name`.

        For scope `class` there is nobody to ask: what this returns is the description itself.
        """
