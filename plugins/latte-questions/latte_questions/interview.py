"""Questions of the labeler `choices` to a describer.

Questions about clusters of images come first, then control questions, whose right answer is "none
of these", and then questions about single images in several rounds. The *mixture* is the Gaussian
mixture of `mixture`, which `choices` fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from latte.api import Choice, ChoiceRequest, DescribedImage, ExpectedGain, Questions
from latte_questions.annotators import AnswerPair, reliabilities
from latte_questions.belief import NONE, PairedAnswer, Record, evidence
from latte_questions.gain import LARGEST_SHARE, calibrated, raw_gain
from latte_questions.mixture import Mixture
from latte_questions.options import MixtureOptions
from latte_questions.order import choose_images
from latte_questions.wordings import (
    DIFFERENCES,
    NAMES,
    Encode,
    WordingsByClass,
    ask_differences,
    ask_names,
    mean_texts,
)

CLUSTERS, CONTROLS, IMAGES = "clusters", "controls", "images"
MIXED = "no name fits most of them"
SHEET_PROMPT = "These images are from one folder. Which name fits most of them?"
IMAGE_PROMPT = "Which name fits this image?"
_SHEET_IMAGES = 9
_SHEET_NAMES = 10
"""Largest number of class names to offer for a cluster."""
_IMAGE_NAMES = 5
_FEWEST = 3
"""Smallest number of images in a cluster that the labeler asks about."""
_CONTROLS = 8
"""Largest number of control questions."""
_CONTROL_NAMES = 3
"""Number of names in a control question: the least likely class, and names of `_FOREIGN`."""
_FOREIGN = ("passport", "violin", "traffic light", "chess board", "tooth brush", "tractor")
_ROUNDS = 3
"""Number of rounds of questions about images; the Gaussian mixture is fitted again after each."""

FitMixture = Callable[[Tensor, Tensor | None], Mixture]
"""Function that fits the Gaussian mixture with the given class texts (C, D) and evidence (N, C)."""


class ChoicesOptions(MixtureOptions):
    """Options of `choices`: those of the Gaussian mixture, and the describer to ask."""

    ask: bool = Field(
        default=True, description="ask questions; false: the mixture of the images alone"
    )
    describer: str = Field(
        default="", description="name of the describer to ask; default: the recipe's first"
    )
    names: bool = Field(default=False, description="ask for other names of the classes first")
    differences: bool = Field(
        default=False, description="ask what distinguishes confused classes, after the clusters"
    )
    weight: float = Field(
        default=1.0, ge=0.0, description="multiplies this stream's loss; 0: there is no such stream"
    )

    @property
    def questions_to(self) -> str | None:
        """Name of the describer to ask; empty for the recipe's first describer; None for none."""
        return self.describer if self.ask else None


@dataclass
class Interview:
    """Questions about clusters and images; each is asked twice, with the names in both orders.

    Args:
        questions: sends questions to the describer, within the budget.
        names: C class names.
        images: (N, D) unit features.
        zero_shot: (N,) zero-shot labels.
        texts: (C, D) unit class texts.
        encode: returns the unit features of names and descriptions.
        options: options of the labeler.
        fit: fits the Gaussian mixture; see `FitMixture`.
    """

    cluster_share: ClassVar[float] = 0.5
    """Largest share of the budget for clusters."""

    questions: Questions
    names: Sequence[str]
    images: Tensor
    zero_shot: Tensor
    texts: Tensor
    encode: Encode
    options: ChoicesOptions
    fit: FitMixture
    answers: list[PairedAnswer] = field(default_factory=list)
    record: Record = field(default_factory=Record)
    pairs: list[AnswerPair] = field(default_factory=list)
    answered: int = 0
    """Number of questions with options that were answered."""

    def __post_init__(self) -> None:
        self.before = self.fit(self.texts, None).posteriors

    def evidence(self) -> Tensor | None:
        """Ask until the budget is spent; return logits (N, C), or None if no answer can be used.

        Asking stops early if the control questions show that no answer can be used. If the
        describer is reliable, its wordings of classes may be added to the class texts `texts`.
        """
        clusters = self._clusters()
        questions, given_texts = self.questions, self.texts
        names = ask_names(questions, self.names, self.before) if self.options.names else {}
        self._ask_about_clusters(clusters)
        is_ignored = self._ask_controls(clusters)
        self._reword(NAMES, names)
        if is_ignored:
            return None
        if self.options.differences:
            self._reword(DIFFERENCES, ask_differences(questions, self.names, self.before))
        posteriors = self.before
        is_asked = torch.zeros_like(self.zero_shot, dtype=torch.bool)
        is_asked[self._confirm()] = True
        for left in range(_ROUNDS, 0, -1):
            count = math.ceil(self._pairs_left() / left)
            if count == 0:
                break
            if (heard := self._evidence()) is not None:
                posteriors = self.fit(self.texts, heard).posteriors
            rows = self.choose(posteriors, is_asked, count)
            is_asked[rows] = True
            self._ask_about_images(rows, posteriors)
        if self.record.reliability == 0:
            self.texts = given_texts
        return self._evidence()

    def expected_gain(self, heard: Tensor | None) -> ExpectedGain | None:
        """Return the expected gain in accuracy from the logits `heard` (N, C).

        The result is None if no question was answered, or if the describer was asked about more
        than `LARGEST_SHARE` of the images, which the calibration does not cover.
        """
        if self.answered == 0:
            return None
        if heard is None or not bool(heard.any()):
            return ExpectedGain(0.0, 0.0, 0.0, used=False)
        if len(self.pairs) > LARGEST_SHARE * len(self.images):
            return None
        return calibrated(self.raw_gain(heard))

    def raw_gain(self, heard: Tensor) -> float:
        """Return the gain in accuracy from logits `heard` (N, C) if the posteriors were right."""
        return raw_gain(self.before, self.fit(self.texts, heard).posteriors)

    def choose(self, posteriors: Tensor, is_asked: Tensor, count: int) -> Tensor:
        """Choose up to `count` images to ask about, except those with True in `is_asked` (N,)."""
        return choose_images(self.images, posteriors, self.zero_shot, is_asked, count)

    def _reword(self, purpose: str, written: WordingsByClass) -> None:
        """Add the describer's wordings of classes to the class texts, if this seems to help.

        The wordings are added if the describer is reliable, and if zero-shot CLIP agrees with the
        describer's answers on more images with the new texts than without them.
        """
        if not written:
            return
        texts = mean_texts(self.texts, written, self.encode)
        rows, labels = self._answered()
        old_labels, new_labels = (
            (self.images[rows] @ class_texts.T).argmax(dim=1) for class_texts in (self.texts, texts)
        )
        fits = int((new_labels == labels).sum()) > int((old_labels == labels).sum())
        is_used = self.record.reliability > 0 and fits
        count = len(written)
        self.questions.note(purpose, kept=count * is_used, contradictory=count * (not is_used))
        if not is_used:
            return
        self.texts = texts
        self.before = self.fit(texts, None).posteriors
        self.zero_shot = (self.images @ texts.T).argmax(dim=1)
        self.answers = [
            replace(answer, agrees=self._agrees(answer.rows, answer.label))
            for answer in self.answers
        ]

    def _answered(self) -> tuple[Tensor, Tensor]:
        """Return the M images that have an answer, and the class (M,) that each answer gives."""
        rows = [answer.rows for answer in self.answers]
        labels = [torch.full_like(answer.rows, answer.label) for answer in self.answers]
        none = self.zero_shot[:0]
        return torch.cat([none, *rows]), torch.cat([none, *labels])

    def _agrees(self, rows: Tensor, label: int) -> bool:
        return int(self.before[rows].mean(dim=0).argmax()) == label

    def _evidence(self) -> Tensor | None:
        empty, record = torch.zeros_like(self.before), self.record
        if record.reliability == 0:
            return None
        return evidence(self.answers, record.reliability, empty, self.of_images())

    def of_images(self) -> dict[int, float]:
        """Return, by image, the probability that its answer is right; see `reliabilities`."""
        labels = self.before.argmax(dim=1)
        return reliabilities(self.pairs, labels, len(self.names), self.record.right)

    def _pairs_left(self) -> int:
        return (self.questions.budget - self.questions.asked) // 2

    def _clusters(self) -> list[Tensor]:
        """Return the clusters, largest first: images with the same label by the Gaussian mixture.

        In each cluster, the most typical image comes first. Small clusters are left out.
        """
        labels, clusters = self.before.argmax(dim=1), []
        counts = labels.bincount(minlength=len(self.names))
        for label in counts.argsort(descending=True, stable=True).tolist():
            rows = (labels == label).nonzero().squeeze(1)
            if len(rows) < _FEWEST:
                break
            features = self.images[rows]
            clusters.append(rows[(features @ features.mean(dim=0)).argsort(descending=True)])
        return clusters

    def _ask_about_clusters(self, clusters: Sequence[Tensor]) -> None:
        requests, subjects = [], []
        for rows in clusters[: int(self.cluster_share * self._pairs_left())]:
            sheets = [rows[start : 2 * _SHEET_IMAGES : 2] for start in (0, 1)]
            likely = self._likely(rows)
            options = likely.topk(min(_SHEET_NAMES, len(likely))).indices.tolist()
            shown = [self.questions.sheet(sheet.tolist()) for sheet in sheets]
            requests += self._pair(SHEET_PROMPT, shown, options, (MIXED,))
            subjects.append((torch.cat(sheets), options))
        self._keep(CLUSTERS, requests, subjects)

    def _ask_controls(self, clusters: Sequence[Tensor]) -> bool:
        """Ask the control questions; return True if the describer fails them and is ignored."""
        known_names = {name.casefold() for name in self.names}
        foreign = [name for name in _FOREIGN if name not in known_names]
        classes = min(1, len(self.names) // 3)
        typical = [
            (rows, rows[place])
            for place in range(_CONTROLS)
            for rows in clusters
            if len(rows) > place
        ]
        requests = []
        for rows, row in typical[: min(_CONTROLS, self._pairs_left())]:
            unlikely = self._likely(rows).topk(classes, largest=False).indices
            names = [self.names[label] for label in unlikely.tolist()]
            names += foreign[: _CONTROL_NAMES - classes]
            shown = (self.questions.image(int(row)),)
            requests.append(ChoiceRequest(shown, IMAGE_PROMPT, tuple(names), none_allowed=True))
        choices = [choice for choice in self._choose(CONTROLS, requests) if choice is not None]
        passed = sum(choice.none > max(choice.probabilities) for choice in choices)
        self.record.controls += len(choices)
        self.record.passed += passed
        self.record.listed = classes / len(self.names)
        self.questions.note(CONTROLS, kept=passed, contradictory=len(choices) - passed)
        is_complete = len(choices) == len(requests) or not self.questions.is_forecast
        return is_complete and bool(self.record.failed_controls)

    def _confirm(self) -> list[int]:
        """Confirm answers about clusters; return the images that the describer was asked about.

        If more than half of the answers contradict the Gaussian mixture, all are kept. Otherwise,
        answers that agree with the mixture are dropped, and an answer that contradicts it is kept
        only if the describer gives the same class to the most typical image of the cluster.
        """
        doubtful = [answer for answer in self.answers if not answer.agrees]
        if 2 * len(doubtful) > len(self.answers):
            return []
        self.answers = []
        likely, asked_rows = self.before.clone(), []
        for answer in doubtful[: self._pairs_left()]:
            asked_rows.append(int(answer.rows[0]))
            likely[answer.rows[0], answer.label] += 1
        if asked_rows:
            self._ask_about_images(self.zero_shot.new_tensor(asked_rows), likely)
        same = {(int(answer.rows[0]), answer.label) for answer in self.answers}
        self.answers += [
            answer for answer in doubtful if (int(answer.rows[0]), answer.label) in same
        ]
        return asked_rows

    def _likely(self, rows: Tensor) -> Tensor:
        """Return a score (C,) per class: high if the images `rows` may show the class.

        It is the mean posterior plus the share of these images with the class as zero-shot label.
        """
        common = self.zero_shot[rows].bincount(minlength=len(self.names)) / len(rows)
        return self.before[rows].mean(dim=0) + common

    def _ask_about_images(self, rows: Tensor, posteriors: Tensor) -> None:
        likely = posteriors[rows].topk(min(_IMAGE_NAMES, len(self.names)), dim=1).indices.tolist()
        requests = []
        for row, options in zip(rows.tolist(), likely, strict=True):
            shown = self.questions.image(row)
            requests += self._pair(IMAGE_PROMPT, [shown, shown], options)
        self._keep(IMAGES, requests, [*zip(rows[:, None], likely, strict=True)])

    def _pair(
        self,
        prompt: str,
        shown: Sequence[DescribedImage],
        options: Sequence[int],
        further_options: tuple[str, ...] = (),
    ) -> list[ChoiceRequest]:
        names = [self.names[label] for label in options]
        return [
            ChoiceRequest((image,), prompt, (*texts, *further_options), none_allowed=True)
            for image, texts in zip(shown, (names, names[::-1]), strict=True)
        ]

    def _keep(
        self,
        purpose: str,
        requests: Sequence[ChoiceRequest],
        subjects: Sequence[tuple[Tensor, list[int]]],
    ) -> None:
        choices = self._choose(purpose, requests)
        answered = contradictory = kept_count = 0
        for (rows, options), choice, reversed_choice in zip(
            subjects, choices[::2], choices[1::2], strict=True
        ):
            if choice is None or reversed_choice is None:
                continue
            answered += 1
            label, reversed_label = (
                _chosen(choice, options),
                _chosen(reversed_choice, options[::-1]),
            )
            if purpose == IMAGES:
                self.pairs.append(AnswerPair(int(rows[0]), label, reversed_label, tuple(options)))
            if label != reversed_label:
                contradictory += 1
            elif label != NONE:
                agrees = self._agrees(rows, label)
                self.answers.append(PairedAnswer(rows, label, len(options), agrees))
                kept_count += 1
        self.questions.note(purpose, kept=kept_count, contradictory=contradictory)
        if purpose == IMAGES:
            self.record.pairs += answered
            self.record.contradictory += contradictory

    def _choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        choices = self.questions.choose(purpose, requests) if requests else []
        self.answered += sum(choice is not None for choice in choices)
        return choices


def _chosen(choice: Choice, options: Sequence[int]) -> int:
    """Return the likeliest class; `NONE` if an option without a class is at least as likely."""
    named_probabilities = choice.probabilities[: len(options)]
    best = max(range(len(options)), key=lambda index: named_probabilities[index])
    other_probabilities = (choice.none, *choice.probabilities[len(options) :])
    return options[best] if named_probabilities[best] > max(other_probabilities) else NONE
