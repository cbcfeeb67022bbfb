"""Describers write texts about images; description types say what to ask them."""

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
    """Image in a request to a describer; pixels are decoded only when the describer opens it.

    Example:
        >>> import torch
        >>> from PIL import Image
        >>> from latte.api import DescribedImage
        >>> shown = DescribedImage("1f3a", torch.ones(16) / 4, lambda: Image.new("RGB", (8, 8)))
        >>> shown.open().size
        (8, 8)
    """

    key: str
    """Hash of the encoded image: equal files have equal keys."""
    features: Tensor
    """Unit feature (D,) by the frozen CLIP, on the CPU."""
    open: Callable[[], Image.Image]
    """Decodes the image to RGB."""


@dataclass(frozen=True)
class DescribeRequest:
    """One question about 1 to `max_images` images, or about one grid that shows several.

    Example:
        >>> from latte.api import DescribeRequest
        >>> DescribeRequest(images=(), prompt="What is shown?").sample
        0
    """

    images: tuple[DescribedImage, ...]
    prompt: str
    sample: int = 0
    """Number of the answer, from 0, where several answers to one question are wanted."""


@dataclass(frozen=True)
class Refusal:
    """Returned in place of a text that a describer will never write; it is not asked again.

    Example:
        >>> from latte.api import Refusal
        >>> Refusal("content filter").reason
        'content filter'
    """

    reason: str
    """Reason in a few words, such as `content filter`; stored with the request for people."""


class Describer(Component[OptionsT]):
    """Answers "what do these images show?". The engine batches, retries and stores the answers.

    All describers of a run are built before the first one is asked, and each is closed before the
    next one is asked. So load a large model at the first request, not in `__init__`.

    Example:
        >>> from latte.api import Describer, NoOptions
        >>> class Echo(Describer[NoOptions]):
        ...     fingerprint = "echo-1"
        ...     def describe(self, requests):
        ...         return [request.prompt for request in requests]
    """

    @property
    def max_images(self) -> int:
        """Largest number of images in one request. With 1, a group arrives as one grid image."""
        return 1

    @property
    def batch_size(self) -> int:
        """Number of requests per call of `describe`; not part of the fingerprint."""
        return 32

    @property
    def varies(self) -> bool:
        """True if another `sample` of a question may get another text, as with random sampling."""
        return False

    @property
    def counters(self) -> Mapping[str, int]:
        """Amounts spent so far, such as `{"tokens": 1200}`; shown beside the rate."""
        return {}

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifier of model, revision and decoding: equal fingerprints promise equal texts."""

    @abstractmethod
    def describe(self, requests: Sequence[DescribeRequest]) -> Sequence[str | Refusal]:
        """Return one text per request, in order. An empty text counts as a refusal.

        Raise an exception for a failure that may pass: the engine asks again, in smaller batches.
        """

    def close(self) -> None:
        """Free memory and connections; the describer is not used afterwards."""


class DescriptionType(Component[OptionsT]):
    """Scope and prompt of a description; answers "what do we ask about?".

    Example:
        >>> from latte.api import DescriptionType, NoOptions
        >>> class Background(DescriptionType[NoOptions]):
        ...     scope = "image"
        ...     def prompt(self, class_name):
        ...         return "Describe the background in one sentence."
    """

    scope: ClassVar[Scope]

    @property
    def group_size(self) -> int:
        """Number of images per group, all of one zero-shot label; 1 for the other scopes."""
        return 1

    @property
    def correct_images(self) -> int | None:
        """Number of images of a group that truly belong to its class; None: no label is used.

        A number makes the run an oracle, and comes from one of the options' `oracle_options`.
        """
        return None

    @property
    def groups_per_class(self) -> int | None:
        """Number of groups drawn per zero-shot label; None: one group per image."""
        return None

    @property
    def samples(self) -> int:
        """Number of answers per question; more than 1 needs a describer that varies.

        At each step an image's text is drawn from all answers to all prompts.
        """
        return 1

    @property
    def weight(self) -> float:
        """Weight of its texts when an aggregator mixes descriptions; above 0."""
        return 1.0

    @abstractmethod
    def prompt(self, class_name: str) -> str:
        """Return the question about an image or group whose zero-shot label is `class_name`.

        For scope `class` no describer is asked: the returned text is the description itself.
        """

    def prompts(self, class_name: str) -> Sequence[str]:
        """Return all questions, at least one; only for the scopes `image` and `group`."""
        return (self.prompt(class_name),)
