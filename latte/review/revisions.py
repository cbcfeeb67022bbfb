"""Labels of a review's images by one model, and the labels that change from one to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from latte.interfaces.answer_facts import LeftOutAnswers
from latte.models.live_labels import LiveLabels
from latte.results.population import ReviewImage, population
from latte.results.rows import PseudoLabels
from latte.results.run import Run
from latte.results.run_answers import RunAnswers, population_of
from latte.review.tasks import Likely

Taught = Mapping[str, str]
"""The class, or the kind `none`, that a person gave to each image, by content key."""


@dataclass(frozen=True)
class Revision:
    """The labels of all images by one model."""

    taught: Taught
    """The answers that taught the model, beyond those that taught the reviewed run."""
    images: Sequence[ReviewImage]
    """The images that are asked about, in random order."""
    labels: tuple[int, ...]
    """(N,): the label of each training image."""
    confidences: tuple[float, ...]
    """(N,): the calibrated confidence of each label."""
    zero_shot: tuple[int, ...]
    """(N,): the labels by zero-shot CLIP."""
    classes: int
    runners_up: tuple[int, ...] | None = None
    """(N,): the second likeliest class of each image; None if it is not known."""
    measured: LeftOutAnswers | None = None
    """Gain that answers measured when they were left out in turn; None before that."""
    left_out_right: Mapping[str, bool] = field(default_factory=dict)
    """True if a fit without an answer gives its image the same class, by content key."""
    is_settled: bool = False
    """True if the answers were left out in turn, so that a run with them has these labels."""
    number: int = 0

    @cached_property
    def counts(self) -> Counter[int]:
        """The number of images per class."""
        return Counter(self.labels)

    @cached_property
    def zero_shot_counts(self) -> Counter[int]:
        """The number of images per class by zero-shot CLIP."""
        return Counter(self.zero_shot)

    @cached_property
    def likely(self) -> Likely:
        """The classes that a question offers."""
        return Likely(self.images, self.classes)

    @cached_property
    def by_row(self) -> dict[int, ReviewImage]:
        """The images that are asked about, by their index among the training images."""
        return {image.row: image for image in self.images}

    def with_given(self, taught: Taught, names: Sequence[str]) -> Revision:
        """Return these labels, with the classes that a person gave in place of some."""
        given = {key: names.index(name) for key, name in taught.items() if name in names}
        images = tuple(
            replace(image, used_label=given[image.key], used_confidence=1.0)
            if image.key in given
            else image
            for image in self.images
        )
        labels, confidences = [*self.labels], [*self.confidences]
        for image in images:
            if image.key in given:
                labels[image.row], confidences[image.row] = image.used_label, 1.0
        return replace(
            self, taught=taught, images=images, labels=(*labels,), confidences=(*confidences,)
        )


def of_run(run: Run, review: RunAnswers, taught: Taught) -> Revision:
    """Return the labels that a finished run wrote; `review` says which images are asked about."""
    used, answers = run.rows.pseudo_labels, run.record.train.answers
    return Revision(
        taught,
        population_of(run, review.labelled).images,
        used.adapted,
        used.confidence,
        used.frozen,
        len(review.class_names),
        measured=None if answers is None else answers.measured,
        is_settled=True,
    )


def of_fit(live: LiveLabels, review: RunAnswers, taught: Taught) -> Revision:
    """Return the labels of a fit in memory."""
    zero_shot = tuple(live.zero_shot.tolist())
    used, adapted = (
        PseudoLabels(
            zero_shot, tuple(labels.labels.tolist()), tuple(labels.confidences[:, 0].tolist())
        )
        for labels in (live.used, live.adapted)
    )
    rows = review.run.rows
    images = population(rows.training_keys, adapted, used, review.labelled, rows.series).images
    runners_up = None
    if live.used.likeliest.shape[1] > 1:
        runners_up = tuple(live.used.likeliest[:, 1].tolist())
    measured = None if live.answers is None else live.answers.measured
    return Revision(
        taught,
        images,
        used.adapted,
        used.confidence,
        zero_shot,
        len(review.class_names),
        runners_up,
        measured,
        live.left_out_right,
    )


@dataclass(frozen=True)
class LabelChange:
    """The images whose label differs between two revisions."""

    revision: int
    """Number of the newer revision."""
    groups: Mapping[tuple[int, int], Sequence[int]] = field(repr=False)
    """The images by their old and their new label, the largest group first."""

    @property
    def count(self) -> int:
        """The number of images."""
        return sum(map(len, self.groups.values()))


def label_change(old: Revision, new: Revision) -> LabelChange:
    """Return the images whose label has changed, without those that a person has answered."""
    groups: dict[tuple[int, int], list[int]] = {}
    pairs = zip(old.labels, new.labels, strict=True)
    answered = {image.row for image in new.images if image.key in new.taught}
    for row, (before, after) in enumerate(pairs):
        if before != after and row not in answered:
            groups.setdefault((before, after), []).append(row)
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    return LabelChange(new.number, dict(ranked))
