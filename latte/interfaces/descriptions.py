"""Descriptions: who writes them (`Describer`) and what is asked (`DescriptionType`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
    sample: int = 0
    """Counts the answers that are wanted to the same question; 0 unless several are."""


@dataclass(frozen=True)
class Refusal:
    """What a describer returns in place of a text that it will not write, however often asked."""

    reason: str
    """Why, in a few words, such as `content filter`. Kept beside the request for people to read."""


class Describer(Component[OptionsT]):
    """Answers "what do these images show?". The engine batches, retries and stores the answers.

    All describers of a run are built before the first is asked, and each is closed before the next
    is asked: load what is large when it is first needed, not when the describer is built.
    """

    @property
    def max_images(self) -> int:
        """How many images one request may hold. With 1, a group arrives as a single grid."""
        return 1

    @property
    def batch_size(self) -> int:
        """How many requests one call of `describe` should get; never part of the fingerprint."""
        return 32

    @property
    def varies(self) -> bool:
        """Whether another `sample` of the same question may get another text, as with sampling."""
        return False

    @property
    def counters(self) -> Mapping[str, int]:
        """What was spent so far, such as `{"tokens": 1200}`: shown beside the rate."""
        return {}

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Names model, revision and decoding: equal fingerprints promise equal texts."""

    @abstractmethod
    def describe(self, requests: Sequence[DescribeRequest]) -> Sequence[str | Refusal]:
        """One text for each request, in their order. An empty text counts as a refusal.

        Raise for what may go well another time: the engine asks again, in smaller batches.
        """

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

    @property
    def groups_per_class(self) -> int | None:
        """How many groups are drawn of each frozen label; None: one for each image."""
        return None

    @property
    def samples(self) -> int:
        """How many answers are wanted to each question; more than 1 needs a describer that varies.

        At each step a sample's text is drawn from all answers to all prompts.
        """
        return 1

    @property
    def weight(self) -> float:
        """How much its texts count when an aggregator mixes descriptions; above 0."""
        return 1.0

    @abstractmethod
    def prompt(self, class_name: str) -> str:
        """What the describer is asked about an image or group whose frozen label is `class_name`.

        For scope `class` there is nobody to ask: what this returns is the description itself.
        """

    def prompts(self, class_name: str) -> Sequence[str]:
        """All questions about it, at least one; only for the scopes `image` and `group`."""
        return (self.prompt(class_name),)
