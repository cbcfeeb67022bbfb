"""Interfaces of describers, which write texts, and of description types, which define questions.

Also the numbers of texts that are missing or cut.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from latte.interfaces.checked import CHECKED, Count, Positive
from latte.interfaces.component import Component, OptionsT
from latte.interfaces.questions import Choice, ChoiceRequest, DescribeRequest, Refusal

Scope = Literal["class", "image", "group"]
BUGS = (AttributeError, TypeError, NameError, ImportError, AssertionError)
"""Exceptions of a describer that depend on no server or network: asking again would not help."""


class Describer(Component[OptionsT]):
    """Writes texts about images. The engine batches and retries requests and stores the texts.

    A run creates all its describers first. Then it uses one describer after another, and closes
    each before the next. So load a large model at the first request, not in `__init__`.

    Example:
        >>> from collections.abc import Sequence
        >>> from PIL import ImageStat
        >>> from latte.api import DescribedImage, Describer, DescribeRequest, NoOptions, Refusal
        >>> class Brightness(Describer[NoOptions]):
        ...     fingerprint = "brightness-1"
        ...
        ...     def describe(self, requests: Sequence[DescribeRequest]) -> list[str | Refusal]:
        ...         return [self._answer(request.images) for request in requests]
        ...
        ...     def _answer(self, images: Sequence[DescribedImage]) -> str | Refusal:
        ...         if not images:
        ...             return Refusal("it needs an image")
        ...         grey = ImageStat.Stat(images[0].open().convert("L")).mean[0]
        ...         return "A bright photo." if grey > 127 else "A dark photo."
    """

    @property
    def max_images(self) -> int:
        """Largest number of images in one request. If 1, several images are sent as one grid."""
        return 1

    @property
    def batch_size(self) -> int:
        """Largest number of requests per call of `describe`; does not change `fingerprint`."""
        return 32

    @property
    def varies(self) -> bool:
        """True if one question may get several different answers, as in random decoding."""
        return False

    @property
    def counters(self) -> Mapping[str, int]:
        """Amounts used so far, such as 1200 `tokens`, to show beside the progress bar.

        A describer that counts both kinds of tokens returns two counters: `tokens` (output tokens)
        and `prompt tokens` (input tokens, including those of images). They are then stored with the
        answers, shown in reports, and have a price if the recipe has the key `spending`. A further
        counter, `uncounted requests`, has the number of requests of unknown tokens.
        """
        return {}

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifier of model, revision and decoding; equal fingerprints guarantee equal texts."""

    @abstractmethod
    def describe(
        self, requests: Sequence[DescribeRequest]
    ) -> Sequence[str | Refusal | BaseException]:
        """Return one text per request, in order. An empty text counts as a refusal.

        An exception that is raised may be temporary, and an exception that is returned is final:

        * Raise an exception to be asked again, in smaller batches, with waits between attempts. All
          answers of the call are lost.
        * Return an exception in place of a text if asking again in this run is useless, for example
          because you have retried yourself. The other answers of the call are stored.

        A `LatteError` ends the run in both cases, and so does Ctrl-C. `AttributeError`,
        `TypeError`, `NameError`, `ImportError` and `AssertionError` count as bugs: a request that
        was sent alone and raised one of them is not repeated in this run. If three requests raise
        bugs before any is answered, the run ends.
        """

    def choose(
        self, requests: Sequence[ChoiceRequest]
    ) -> Sequence[Choice | Refusal | BaseException]:
        """Return the probabilities of the options of each request, in order.

        The default asks for the letter of an option through `describe`; an answer without a letter
        becomes a refusal. Override this method if the model can compute probabilities. Equal
        fingerprints must also guarantee equal choices. Exceptions are handled as in `describe`.

        Example:
            >>> from latte.api import ChoiceRequest, Describer, NoOptions
            >>> class AlwaysB(Describer[NoOptions]):
            ...     fingerprint = "b-1"
            ...     def describe(self, requests):
            ...         return ["B"] * len(requests)
            >>> request = ChoiceRequest((), "What is it?", ("cat", "dog"))
            >>> AlwaysB(NoOptions(), None).choose([request])
            [Choice(probabilities=(0.0, 1.0), none=0.0)]
        """
        answers = self.describe([request.question() for request in requests])
        return [
            request.read(answer) if isinstance(answer, str) else answer
            for request, answer in zip(requests, answers, strict=True)
        ]

    def close(self) -> None:
        """Free memory and connections; the describer is not used afterwards."""


class DescriptionType(Component[OptionsT]):
    """Type of descriptions: their scope (one image, a group or a class) and their prompts.

    Example:
        >>> from latte.api import DescriptionType, NoOptions
        >>> class Background(DescriptionType[NoOptions]):
        ...     scope = "image"
        ...
        ...     def prompt(self, class_name: str) -> str:
        ...         return "Describe the background in one sentence."
    """

    scope: ClassVar[Scope]

    @property
    def group_size(self) -> int:
        """Number of images per group, all of one zero-shot label; 1 if the scope is not `group`."""
        return 1

    @property
    def correct_images(self) -> int | None:
        """Number of images per group whose true label is the group's class, for ablations.

        If it is None, groups are sampled without true labels. A number is allowed only if one of
        `Options.oracle_options` is set and `groups_per_class` is None.
        """
        return None

    @property
    def groups_per_class(self) -> int | None:
        """Number of groups sampled per zero-shot label; if None, one group per image."""
        return None

    @property
    def samples(self) -> int:
        """Number of answers per question; each step draws one of an image's answers at random.

        If the number is above 1, the describer must give varying answers (`Describer.varies`).
        """
        return 1

    @property
    def weight(self) -> float:
        """Weight of this description's texts when prototypes mix several descriptions; above 0."""
        return 1.0

    @abstractmethod
    def prompt(self, class_name: str) -> str:
        """Return the question about an image or group whose zero-shot label is `class_name`.

        For scope `class`, no describer is asked: the returned text is the description itself.
        """

    def prompts(self, class_name: str) -> Sequence[str]:
        """Return all questions about an image or group (at least one); unused for scope `class`."""
        return (self.prompt(class_name),)


@checked_dataclass(frozen=True, config=CHECKED)
class CutTexts:
    """Number of a description's texts whose end the text tower cuts, because they are too long.

    Attributes:
        texts: Number of distinct texts of the description.

    Example:
        >>> from latte.api import CutTexts
        >>> CutTexts("image", texts=900, cut=120).cut
        120
    """

    description: str
    texts: Count
    cut: Count

    @model_validator(mode="after")
    def _check(self) -> CutTexts:
        if self.cut > self.texts:
            raise ValueError("more texts are cut than there are")
        return self


@checked_dataclass(frozen=True, config=CHECKED)
class FailedRequests:
    """Number of requests to describers that failed, so that texts are missing.

    Attributes:
        count: Number of failed requests; refusals do not count.
        requests: Number of all requests.
        reason: Most frequent reason.

    Example:
        >>> from latte.api import FailedRequests
        >>> FailedRequests(count=2, requests=300, reason="400 Bad Request").count
        2
    """

    count: Positive
    requests: Count
    reason: str

    @model_validator(mode="after")
    def _check(self) -> FailedRequests:
        if self.count > self.requests:
            raise ValueError("more requests failed than there are")
        return self
