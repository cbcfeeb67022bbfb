"""Questions of the labeler `choices` to a describer.

Control questions, whose answers are known, come first. Then latte asks about single images in its
order of asking, the same in which it asks a person, and labels all images again after each round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latte.api import Choice, ChoiceRequest, Questions, Taught, asking_order, digest
from latte_questions.options import ChoicesOptions
from latte_questions.reliability import NONE, ImageAnswer, Record
from latte_questions.wordings import (
    DIFFERENCES,
    NAMES,
    Encode,
    WordingsByClass,
    ask_differences,
    ask_names,
    mean_texts,
)

CONTROLS, IMAGES = "controls", "images"
IMAGE_PROMPT = "Which name fits this image?"
_FEWEST_NAMES, _MOST_NAMES = 5, 25
"""Smallest and largest number of class names to offer for an image."""
_OFFERED = 0.95
"""Probability that the offered classes together reach."""
_CONTROLS = 8
"""Largest number of control questions, and of those about images that a person answered."""
_FOREIGN = ("passport", "violin", "traffic light", "chess board", "tooth brush", "tractor")
_CONTROL_NAMES = 3
"""Number of names of `_FOREIGN` in a control question, whose right answer is "none of these"."""
_ROUND, _ROUNDS = 10, 10
"""Smallest number of images in a round, and largest number of rounds."""
_ROUNDING = 1e-3
"""Added to each offered class's probability, so that none is impossible."""


@dataclass(frozen=True)
class DescriberAnswers:
    """Classes that a describer gave to images."""

    rows: Tensor
    """(M,) int64: indices of the images."""
    classes: Tensor
    """(M,) int64."""
    reliabilities: Tensor
    """(M,): probability that each answer is right."""


Fit = Callable[[Tensor, DescriberAnswers | None], Taught]
"""Function that labels all images with the given class texts (C, D) and answers."""


@dataclass
class Interview:
    """Questions about images, each with the likeliest classes in random order.

    Args:
        questions: sends questions to the describer, within the budget.
        names: C class names.
        images: (N, D) unit features.
        texts: (C, D) unit class texts.
        given: (N,) classes that a person gave, and -1 elsewhere.
        encode: returns the unit features of names and descriptions.
        options: options of the labeler.
        fit: labels all images; see `Fit`.
    """

    questions: Questions
    names: Sequence[str]
    images: Tensor
    texts: Tensor
    given: Tensor
    encode: Encode
    options: ChoicesOptions
    fit: Fit
    record: Record = field(default_factory=Record)

    def __post_init__(self) -> None:
        self.taught = self.fit(self.texts, None)
        self.is_asked = self.given >= 0

    def answers(self) -> DescriberAnswers | None:
        """Ask until the budget is spent; return the answers, or None if none can be used.

        Asking stops early if the control questions show that no answer can be used. If the
        describer is reliable, its wordings of classes may be added to the class texts `texts`.
        """
        written = self._ask_wordings()
        if self._ask_controls():
            return None
        size = max(_ROUND, self.questions.budget // _ROUNDS)
        while len(rows := self.choose(min(size, self._left()))):
            self.is_asked[rows] = True
            self._ask_about_images(rows.tolist())
            # An answer in doubt counts here, or those after it could never confirm it.
            self.taught = self.fit(self.texts, self._heard())
        for purpose, wordings in written:
            self._reword(purpose, wordings)
        return self._usable()

    def choose(self, count: int) -> Tensor:
        """Return up to `count` images to ask about next, in the order in which a person is asked.

        Images that were asked about, or that a person answered, are left out.
        """
        posterior = self.taught.posterior
        differs = posterior.labels[:, 0] != (self.images @ self.texts.T).argmax(dim=1).cpu()
        confidence, differs = (
            part.to(self.images.device) for part in (posterior.probabilities[:, 0], differs)
        )
        return asking_order(self.images, confidence, differs, self.is_asked, count).rows

    def _left(self) -> int:
        return self.questions.budget - self.questions.asked

    def _usable(self) -> DescriberAnswers | None:
        """Return the answers, or None if there are none or the describer is in doubt."""
        return None if self.record.doubt else self._heard()

    def _heard(self) -> DescriberAnswers | None:
        answers = self.record.answers
        if not answers:
            return None
        return DescriberAnswers(
            torch.tensor([answer.row for answer in answers]).to(self.images.device),
            torch.tensor([answer.label for answer in answers]).to(self.images.device),
            self.record.reliabilities.to(self.images),
        )

    def _ask_controls(self) -> bool:
        """Ask the control questions; return True if the describer fails them and is ignored."""
        known_names = {name.casefold() for name in self.names}
        foreign = [name for name in _FOREIGN if name not in known_names][:_CONTROL_NAMES]
        requests = [
            self._request(row, foreign)
            for row in self.choose(min(_CONTROLS, self._left())).tolist()
        ]
        choices = self._choose(CONTROLS, requests)
        passed = [choice.none > max(choice.probabilities) for choice in choices if choice]
        known = self._ask_about_known_images()
        self.record.controls = len(passed) + len(known)
        self.record.passed = sum(passed) + sum(known)
        self.questions.note(
            CONTROLS,
            kept=self.record.passed,
            contradictory=self.record.controls - self.record.passed,
        )
        is_complete = len(passed) == len(requests) or not self.questions.is_forecast
        return is_complete and bool(self.record.failed_controls)

    def _ask_about_known_images(self) -> list[bool]:
        """Ask about images that a person answered; return which answers are the person's."""
        rows = (self.given >= 0).nonzero().squeeze(1).tolist()[: min(_CONTROLS, self._left())]
        offers = [self._likely(row, must=int(self.given[row])) for row in rows]
        choices = self._choose(CONTROLS, [*map(self._question, rows, offers)])
        return [
            _chosen(choice, offer) == int(self.given[row])
            for row, offer, choice in zip(rows, offers, choices, strict=True)
            if choice
        ]

    def _ask_about_images(self, rows: Sequence[int]) -> None:
        offers = [self._likely(row) for row in rows]
        choices = self._choose(IMAGES, [*map(self._question, rows, offers)])
        named = 0
        for row, offer, choice in zip(rows, offers, choices, strict=True):
            if choice and (label := _chosen(choice, offer)) != NONE:
                named += 1
                expected = self._expected(row, label, offer)
                self.record.answers.append(ImageAnswer(row, label, len(offer), expected))
        unnamed = sum(choice is not None for choice in choices) - named
        self.questions.note(IMAGES, kept=named, contradictory=unnamed)

    def _expected(self, row: int, label: int, offer: Sequence[int]) -> float:
        """Return the probability of a class among the offered ones.

        Classes that the posterior leaves out share the remaining probability.
        """
        labels, shares = (
            part[row].tolist()
            for part in (self.taught.posterior.labels, self.taught.posterior.probabilities)
        )
        probabilities = dict(zip(labels, shares, strict=True))
        left = max(0.0, 1 - sum(shares)) / max(1, len(self.names) - len(labels))
        offered = {other: probabilities.get(other, left) + _ROUNDING for other in offer}
        return float(offered[label] / sum(offered.values()))

    def _likely(self, row: int, must: int | None = None) -> list[int]:
        """Return the likeliest classes of an image, in an order drawn by image; `must` is one."""
        logits = self.taught.rows[0] @ self.images[row] + self.taught.bias
        probabilities, order = logits.softmax(dim=0).sort(descending=True, stable=True)
        count = int((probabilities.cumsum(dim=0) < _OFFERED).sum()) + 1
        first = self.taught.posterior.labels[row].tolist() if must is None else [must]
        likely = list(dict.fromkeys([*first, *order.tolist()]))
        offer = likely[: min(max(count, _FEWEST_NAMES), _MOST_NAMES)]
        key = self.questions.image(row).key
        return sorted(offer, key=lambda label: digest(key, self.names[label]))

    def _question(self, row: int, offer: Sequence[int]) -> ChoiceRequest:
        return self._request(row, [self.names[label] for label in offer])

    def _request(self, row: int, names: Sequence[str]) -> ChoiceRequest:
        shown = (self.questions.image(row),)
        return ChoiceRequest(shown, IMAGE_PROMPT, tuple(names), none_allowed=True)

    def _choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        return self.questions.choose(purpose, requests) if requests else []

    def _ask_wordings(self) -> list[tuple[str, WordingsByClass]]:
        """Ask for the wordings of classes that the options name; return those of each purpose."""
        written: list[tuple[str, WordingsByClass]] = []
        if self.options.names:
            written.append((NAMES, ask_names(self.questions, self.names, self._probabilities())))
        if self.options.differences:
            differences = ask_differences(self.questions, self.names, self._probabilities())
            written.append((DIFFERENCES, differences))
        return written

    def _probabilities(self) -> Tensor:
        """Return the class probabilities (N, C), 0 for classes that the posterior leaves out."""
        posterior = self.taught.posterior
        everywhere = posterior.probabilities.new_zeros(len(self.images), len(self.names))
        return everywhere.scatter_(1, posterior.labels, posterior.probabilities)

    def _reword(self, purpose: str, written: WordingsByClass) -> None:
        """Add the describer's wordings of classes to the class texts, if this seems to help.

        The wordings are added if the describer is reliable, and if zero-shot CLIP agrees with the
        describer's answers on more images with the new texts than without them.
        """
        if not written:
            return
        texts, usable = mean_texts(self.texts, written, self.encode), self._usable()
        is_used = usable is not None and _agreement(self.images, texts, usable) > _agreement(
            self.images, self.texts, usable
        )
        count = len(written)
        self.questions.note(purpose, kept=count * is_used, contradictory=count * (not is_used))
        self.texts = texts if is_used else self.texts


def _agreement(images: Tensor, texts: Tensor, answers: DescriberAnswers) -> int:
    """Return the number of answers with which zero-shot CLIP with these texts agrees."""
    labels = (images[answers.rows] @ texts.T).argmax(dim=1)
    return int((labels == answers.classes).sum())


def _chosen(choice: Choice, options: Sequence[int]) -> int:
    """Return the likeliest class; `NONE` if "none of these" is at least as likely."""
    best = max(range(len(options)), key=lambda index: choice.probabilities[index])
    return options[best] if choice.probabilities[best] > choice.none else NONE
