"""Questions to describers (components that write texts about images), and the answers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Protocol

from pydantic import model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from latte.interfaces.checked import CHECKED, Count
from latte.interfaces.errors import LatteError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

NONE_OF_THESE, CANNOT_TELL = "none of these", "cannot tell"
"""Answers about an image in place of a class."""
_LETTER = re.compile(r"\(?([A-Z])(?:[.:)]{0,2}|[.:)]{1,2} (.+))", re.ASCII)


@dataclass(frozen=True)
class DescribedImage:
    """Image in a request to a describer; pixels are decoded only when the describer opens it.

    Attributes:
        key: Hash of the encoded image; equal images have equal keys.
        features: Unit image feature (D,) from the frozen CLIP, on the CPU.
        open: Decodes the image and returns it in RGB.

    Example:
        >>> import torch
        >>> from PIL import Image
        >>> from latte.api import DescribedImage
        >>> shown = DescribedImage("1f3a", torch.ones(16) / 4, lambda: Image.new("RGB", (8, 8)))
        >>> shown.open().size
        (8, 8)
    """

    key: str
    features: Tensor
    open: Callable[[], Image.Image]


@dataclass(frozen=True)
class DescribeRequest:
    """One question about up to `Describer.max_images` images, or about a grid of several images.

    A describer that cannot answer questions without images returns a `Refusal`.

    Attributes:
        sample: Index (from 0) of the answer, if a recipe asks for several answers to a question.

    Example:
        >>> from latte.api import DescribeRequest
        >>> DescribeRequest(images=(), prompt="What is shown?").sample
        0
    """

    images: tuple[DescribedImage, ...]
    prompt: str
    sample: int = 0


@dataclass(frozen=True)
class Refusal:
    """Answer of a describer that refuses to write a text; the engine does not ask again.

    Attributes:
        reason: Reason in a few words, such as `content filter`; stored, and shown to the user.

    Example:
        >>> from latte.api import Refusal
        >>> Refusal("content filter").reason
        'content filter'
    """

    reason: str


@dataclass(frozen=True)
class Choice:
    """Probability of each option of a `ChoiceRequest`; `probabilities` and `none` sum to 1.

    Many multimodal models prefer the first option. To detect this bias, ask twice, with the
    options in different orders: a biased model then chooses a different option.

    Attributes:
        probabilities: Probability of each option, in the order of the request's options.
        none: Probability of "none of these"; 0 if the request does not allow this answer.

    Example:
        >>> from latte.api import Choice
        >>> Choice((0.7, 0.2), none=0.1).none
        0.1
    """

    probabilities: tuple[float, ...]
    none: float = 0.0


@dataclass(frozen=True)
class ChoiceRequest:
    """Question with 2 to 26 options about 1 to `Describer.max_images` images, or one grid image.

    Options in another order make a new question. White space in options is collapsed. Raises
    `LatteError` for too few, too many, empty or equal options.

    Attributes:
        options: Class names or short texts, in the order in which the describer sees them.
        none_allowed: If True, "none of these" is added as the last option.

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
    none_allowed: bool = False

    def __post_init__(self) -> None:
        """Raise `LatteError` for too few, too many, empty or equal options."""
        shown_options, most_options = self._shown, len(ascii_uppercase)
        if len(self.options) < 2 or len(shown_options) > most_options:
            raise LatteError(
                f"a choice needs 2 to {most_options} options, and there are {len(self.options)}",
                where="options",
                hint=f"'{NONE_OF_THESE}' counts as one of {most_options}, but not as one of 2",
            )
        repeated_options = [
            text for text, count in Counter(shown_options).items() if count > 1 or not text
        ]
        if repeated_options:
            problem = (
                f"`{repeated_options[0]}` is there twice"
                if repeated_options[0]
                else "an option is empty"
            )
            raise LatteError(f"the options of a choice must differ: {problem}", where="options")

    @property
    def letters(self) -> str:
        """Letters of the options in order, then the letter of "none of these" if it is allowed."""
        return ascii_uppercase[: len(self._shown)]

    def question(self) -> DescribeRequest:
        """Return a request for a text answer; its prompt lists the options with letters."""
        lines = [
            f"{letter}. {text}" for letter, text in zip(self.letters, self._shown, strict=True)
        ]
        prompt = "\n".join((self.prompt, *lines, "Answer with one letter."))
        return DescribeRequest(self.images, prompt)

    def choice(self, weights: Sequence[float]) -> Choice:
        """Return a `Choice` with probabilities proportional to `weights`, one weight per letter.

        Raises `ValueError` for a wrong number of weights, a negative or non-finite weight, or only
        zeros.
        """
        total = sum(weights)
        is_valid = len(weights) == len(self.letters) and min(weights) >= 0
        if not (is_valid and 0 < total < math.inf):
            raise ValueError(f"{list(weights)} are no weights of the letters {self.letters}")
        shares = tuple(weight / total for weight in weights)
        return Choice(shares[:-1], shares[-1]) if self.none_allowed else Choice(shares)

    def letter(self, text: str) -> str | None:
        """Return the option's letter in a describer's answer such as `B`, `(B)`, `B.` or `B. dog`.

        Return None if `text` is not of this form, for example if other text follows the letter.
        """
        match = _LETTER.fullmatch(" ".join(text.split()))
        if match is None or match[1] not in self.letters:
            return None
        option = self._shown[self.letters.index(match[1])]
        is_own = match[2] is None or match[2].rstrip(".") == option.rstrip(".")
        return match[1] if is_own else None

    def read(self, text: str) -> Choice | Refusal:
        """Return a `Choice` with probability 1 for the option whose letter is in `text`.

        A text without the letter of an option becomes a `Refusal`.
        """
        letter = self.letter(text)
        if letter is None:
            return Refusal(f"the answer is no letter from A to {self.letters[-1]}: {text[:80]}")
        return self.choice([float(letter == option_letter) for option_letter in self.letters])

    @property
    def _shown(self) -> tuple[str, ...]:
        options = (*self.options, NONE_OF_THESE) if self.none_allowed else self.options
        return tuple(" ".join(text.split()) for text in options)


@checked_dataclass(frozen=True, config=CHECKED)
class QuestionCounts:
    """Counts of the questions that a labeler asked for one purpose, and of the answers.

    Attributes:
        questions: Number of distinct questions, including those whose answers were already in the
            store.
        stored: Number of questions whose answers were already in the store; they were not asked
            again.
        unanswered: Number of questions that the describer refused or could not answer.
        kept: Number of images or groups of images whose answers the labeler uses.
        contradictory: Number of those whose answers it does not use, for example because two
            answers about an image contradict each other.
        input_tokens: Number of tokens of prompts and images, as counted by the describer; stored
            answers count too.
        output_tokens: Number of tokens of answers, as counted by the describer; stored answers
            count too.

    Example:
        >>> from latte.api import QuestionCounts
        >>> QuestionCounts("images", questions=40, stored=0, unanswered=1, kept=15).contradictory
        0
    """

    purpose: str
    questions: Count
    stored: Count
    unanswered: Count
    kept: Count = 0
    contradictory: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0

    @model_validator(mode="after")
    def _check(self) -> QuestionCounts:
        if max(self.stored, self.unanswered) > self.questions:
            raise ValueError("more questions were answered or refused than asked")
        return self


class Questions(Protocol):
    """Lets a labeler ask a describer about training images, within the run's budget.

    A stored answer is used again, but its question still counts against the budget, so that a
    repeated run has the same results.

    Example:
        >>> from latte.api import ChoiceRequest, Questions
        >>> def which(questions: Questions, row: int, names: tuple[str, ...]):
        ...     shown = questions.image(row)
        ...     request = ChoiceRequest((shown,), "What is it?", names, none_allowed=True)
        ...     return questions.choose("images", [request])[0]
    """

    @property
    def budget(self) -> int:
        """Largest number of distinct questions."""

    @property
    def asked(self) -> int:
        """Number of distinct questions that were asked so far."""

    @property
    def is_forecast(self) -> bool:
        """True if questions are only counted; only answers from the store are then returned."""

    def image(self, index: int) -> DescribedImage:
        """Return the training image with the given index, for the `images` of a request."""

    def sheet(self, indices: Sequence[int]) -> DescribedImage:
        """Return one grid image that shows the training images with the given indices."""

    def choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        """Return one choice per request, in order; None if unanswered or the budget is spent."""

    def ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        """Return one text per request, in order; None if unanswered or the budget is spent.

        A request may have no image. A text is cut if it has more than 500 characters as a JSON
        string (with quotes and escapes).
        """

    def note(self, purpose: str, *, kept: int, contradictory: int) -> None:
        """Report of how many images or groups the answers are used (`kept`), or are not."""

    def note_reliability(self, sentence: str) -> None:
        """Report in one sentence how reliable the describer is, or why its answers are ignored."""

    def note_answers(
        self, rows: Sequence[int], labels: Sequence[int], reliabilities: Sequence[float]
    ) -> None:
        """Save the classes that the labeler takes from the answers, for later runs.

        `rows` are images, `labels` their classes, and `reliabilities` the probabilities, from 0 to
        1, that these are right. A later call replaces the classes of an earlier one.
        """

    def close(self) -> None:
        """Free the memory of the describer; a later question loads the describer again."""
