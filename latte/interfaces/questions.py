"""Questions to describers (models that look at images and write text), and their answers.

A question asks for a text or for a choice among options; an answer may be a refusal.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Protocol

from latte.interfaces.errors import LatteError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

NONE_OF_THESE = "none of these"
_LETTER = re.compile(r"\(?([A-Z])(?:[.:)]{0,2}|[.:)]{1,2} (.+))", re.ASCII)


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
    """Hash of the encoded image; equal images have equal keys."""
    features: Tensor
    """Unit image feature (D,) from the frozen CLIP, on the CPU."""
    open: Callable[[], Image.Image]
    """Decodes the image and returns it in RGB."""


@dataclass(frozen=True)
class DescribeRequest:
    """One question about up to `max_images` images, or about one grid image of several images.

    A question about no image is about texts only. Describers that cannot answer it refuse it.

    Example:
        >>> from latte.api import DescribeRequest
        >>> DescribeRequest(images=(), prompt="What is shown?").sample
        0
    """

    images: tuple[DescribedImage, ...]
    prompt: str
    sample: int = 0
    """Index of this answer, from 0, among the answers that the recipe asks for."""


@dataclass(frozen=True)
class Refusal:
    """Answer of a describer that will never write the text; the engine does not ask again.

    Example:
        >>> from latte.api import Refusal
        >>> Refusal("content filter").reason
        'content filter'
    """

    reason: str
    """Reason in a few words, such as `content filter`; stored, so that people can read it."""


@dataclass(frozen=True)
class Choice:
    """Probabilities of the options of a `ChoiceRequest`; they and `none` sum to 1.

    Many multimodal models prefer the first option, and some always choose it. To notice this, ask
    twice, with the options in different orders: such a model then chooses different options.

    Example:
        >>> from latte.api import Choice
        >>> Choice((0.7, 0.2), none=0.1).none
        0.1
    """

    probabilities: tuple[float, ...]
    """Probability of each option, in the order of the request's options."""
    none: float = 0.0
    """Probability of "none of these"; 0 if the request does not allow this answer."""


@dataclass(frozen=True)
class ChoiceRequest:
    """Question with 2 to 26 options about 1 to `max_images` images, or about one grid image.

    If the options or their order change, the question is asked again and the answer is stored
    separately. White space in options is collapsed. Raises `LatteError` if there are too few or too
    many options, or if options are empty or equal.

    Example:
        >>> from latte.api import ChoiceRequest
        >>> request = ChoiceRequest((), "What is it?", ("cat", "dog"), none_allowed=True)
        >>> print(request.question().prompt)
        What is it?
        A. cat
        B. dog
        C. none of these
        Answer with one letter.
        >>> request.read("B. dog").probabilities
        (0.0, 1.0)
    """

    images: tuple[DescribedImage, ...]
    prompt: str
    options: tuple[str, ...]
    """Class names or short texts, in the order shown."""
    none_allowed: bool = False
    """If True, "none of these" is added as the last option."""

    def __post_init__(self) -> None:
        """Check the options."""
        shown, most = self._shown, len(ascii_uppercase)
        if len(self.options) < 2 or len(shown) > most:
            raise LatteError(
                f"a choice needs 2 to {most} options, and there are {len(self.options)}",
                where="options",
                hint=f"'{NONE_OF_THESE}' counts as one of {most}, but not as one of 2",
            )
        repeated = [text for text, count in Counter(shown).items() if count > 1 or not text]
        if repeated:
            problem = f"`{repeated[0]}` is there twice" if repeated[0] else "an option is empty"
            raise LatteError(f"the options of a choice must differ: {problem}", where="options")

    @property
    def letters(self) -> str:
        """Letters of the options in order, then that of "none of these" if `none_allowed`."""
        return ascii_uppercase[: len(self._shown)]

    def question(self) -> DescribeRequest:
        """Return the question as text, with a letter for each option."""
        lines = [
            f"{letter}. {text}" for letter, text in zip(self.letters, self._shown, strict=True)
        ]
        prompt = "\n".join((self.prompt, *lines, "Answer with one letter."))
        return DescribeRequest(self.images, prompt)

    def choice(self, weights: Sequence[float]) -> Choice:
        """Return the choice with probabilities proportional to the `weights` of the letters.

        Raises `ValueError` unless there is one finite weight per letter, none of them negative, and
        one of them above 0.
        """
        total = sum(weights)
        valid = len(weights) == len(self.letters) and min(weights) >= 0
        if not (valid and 0 < total < math.inf):
            raise ValueError(f"{list(weights)} are no weights of the letters {self.letters}")
        shares = tuple(weight / total for weight in weights)
        return Choice(shares[:-1], shares[-1]) if self.none_allowed else Choice(shares)

    def letter(self, text: str) -> str | None:
        """Return the letter that `text` names, such as `B`, `(B)`, `B.` or `B. dog`, else None.

        The letter may be followed by the text of its option, but by no other text.
        """
        found = _LETTER.fullmatch(" ".join(text.split()))
        if found is None or found[1] not in self.letters:
            return None
        own = self._shown[self.letters.index(found[1])]
        is_own = found[2] is None or found[2].rstrip(".") == own.rstrip(".")
        return found[1] if is_own else None

    def read(self, text: str) -> Choice | Refusal:
        """Return a choice with probability 1 for the option whose letter `text` names.

        A text without the letter of an option is a refusal: asking again would give the same text.
        """
        letter = self.letter(text)
        if letter is None:
            return Refusal(f"the answer is no letter from A to {self.letters[-1]}: {text[:80]}")
        return self.choice([float(letter == one) for one in self.letters])

    @property
    def _shown(self) -> tuple[str, ...]:
        options = (*self.options, NONE_OF_THESE) if self.none_allowed else self.options
        return tuple(" ".join(text.split()) for text in options)


@dataclass(frozen=True)
class QuestionCounts:
    """Counts of the questions that a labeler asked for one purpose, and of their answers.

    Example:
        >>> from latte.api import QuestionCounts
        >>> QuestionCounts("images", questions=40, stored=0, unanswered=1, kept=15).contradictory
        0
    """

    purpose: str
    questions: int
    """Distinct questions within the budget."""
    stored: int
    """Questions whose answers were already in the store, and were not asked again."""
    unanswered: int
    """Questions that the describer refused or could not answer."""
    kept: int = 0
    """Subjects (images or clusters) whose answers agree and are used."""
    contradictory: int = 0
    """Subjects whose answers contradict each other."""
    input_tokens: int = 0
    """Tokens of prompts and images that the describer counted, also for stored answers."""
    output_tokens: int = 0
    """Tokens of answers that the describer counted, also for stored answers."""
    money: float | None = None
    """Price of these tokens; None if the recipe's budget names no price."""


@dataclass(frozen=True)
class ExpectedGain:
    """Gain in accuracy on the training images that answers bring, estimated without labels.

    Example:
        >>> from latte.api import ExpectedGain
        >>> print(ExpectedGain(value=0.22, low=-0.001, high=0.38))
        +22 points on the training images (between 0 and +38 in nine of ten simulated runs)
        >>> print(ExpectedGain(value=0, low=0, high=0, used=False))
        exactly 0 points, because no answer was used
    """

    value: float
    """Expected gain, as a fraction of 1."""
    low: float
    """Lower end of the interval that contains nine of ten gains measured in simulated runs."""
    high: float
    used: bool = True
    """False if the labeler used no answer, for example because it does not trust the describer."""

    def __str__(self) -> str:
        if not self.used:
            return "exactly 0 points, because no answer was used"
        if self.low == self.high == 0:
            return "exactly 0 points, because the answers changed no label"
        value, low, high = map(_points, (self.value, self.low, self.high))
        return (
            f"{value} points on the training images "
            f"(between {low} and {high} in nine of ten simulated runs)"
        )


def _points(fraction: float) -> str:
    whole = round(100 * fraction)
    return f"{whole:+d}" if whole else "0"


class Questions(Protocol):
    """Questions about training images to a describer of the run, within the run's budget.

    The engine stores answers, and does not ask again what is stored. Each distinct question counts
    against the budget, even if its answer is stored, so that a repeated run has the same results.

    Example:
        >>> from latte.api import ChoiceRequest, Questions
        >>> def which(questions: Questions, row: int, names: tuple[str, ...]):
        ...     shown = questions.image(row)
        ...     request = ChoiceRequest((shown,), "What is it?", names, none_allowed=True)
        ...     return questions.choose("images", [request])[0]
    """

    @property
    def budget(self) -> int:
        """Largest number of distinct questions of the run.

        For a budget in tokens or money this is an estimate, which changes as tokens are counted.
        """

    @property
    def asked(self) -> int:
        """Number of distinct questions so far."""

    def image(self, index: int) -> DescribedImage:
        """Return the training image `index`."""

    def sheet(self, indices: Sequence[int]) -> DescribedImage:
        """Return one grid image of several training images."""

    def choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        """Return the choice for each request; None without an answer, or beyond the budget."""

    def ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        """Return the text for each request; None without an answer, or beyond the budget.

        A request may have no image. Texts are cut to 500 characters or fewer.
        """

    def note(self, purpose: str, *, kept: int, contradictory: int) -> None:
        """Add `kept` and `contradictory` to the counts of `QuestionCounts` for `purpose`."""

    def note_gain(self, gain: ExpectedGain) -> None:
        """Report the gain that the labeler expects from the answers; replaces an earlier one."""

    def close(self) -> None:
        """Free the memory of the describer; a later question loads the describer again."""
