"""Sentences about an estimated gain, for the page, the terminal and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latte.interfaces.errors import nearest
from latte.io.redaction import one_line
from latte.results.answers import Answer

if TYPE_CHECKING:  # it imports numpy, which commands that only list things do not need
    from latte.results.estimate import Estimate

_SHOWN_NAMES = 3


@dataclass(frozen=True)
class MeasuredGain:
    """The estimated gain of the adapted model over zero-shot CLIP."""

    estimate: Estimate
    in_other_tasks: int = 0
    """Number of answers about images that were not drawn at random, which do not measure the gain.
    """
    unknown: str = ""
    """Sentence on answers that name no class."""

    @property
    def sentence(self) -> str:
        """The gain that the answers so far measure, with its interval, in words.

        Example:
            >>> MeasuredGain(estimate).sentence  # doctest: +SKIP
            'After 37 answers: the adapted model is better by +6.1 points (95 %: +2.0 to +10.4).'
        """
        estimate, adapted = self.estimate, "the adapted model"
        if not estimate.disagreements:
            return f"Zero-shot CLIP and {adapted} agree on all {estimate.images:,} images: no gain."
        if not estimate.answered:
            return (
                f"Zero-shot CLIP and {adapted} disagree on {estimate.disagreements:,} of "
                f"{estimate.images:,} images. {_none_counts(self)}"
            )
        changes = f"{adapted} changes accuracy by"
        if estimate.answered == estimate.disagreements and not estimate.unsure:
            return (
                f"All {estimate.disagreements:,} disagreements are answered: {changes} "
                f"{_points(estimate.gain.value)} points on the {estimate.images:,} images of this "
                "review."
            )
        answers = "1 answer" if estimate.series == 1 else f"{estimate.series:,} answers"
        if estimate.series < estimate.answered:
            answers += f" about {estimate.answered:,} images"
        interval = f"{_points(estimate.gain.low)} to {_points(estimate.gain.high)}"
        gain = f"{_points(estimate.gain.value)} points (95 %: {interval})"
        if estimate.better == "adapted":
            return f"After {answers}: {adapted} is better by {gain}."
        if estimate.better == "zero-shot":
            return f"After {answers}: zero-shot CLIP is better; {adapted} changes it by {gain}."
        return f"After {answers}: not decided yet; {changes} {gain}."

    @property
    def lines(self) -> tuple[str, ...]:
        """Sentences on the gain, on both accuracies if known, and on unknown class names."""
        zero_shot, adapted = self.estimate.zero_shot, self.estimate.adapted
        is_unknown = zero_shot.high - zero_shot.low > 1 - 1e-9  # no answer yet
        accuracy = (
            f"Accuracy (95 % intervals): zero-shot CLIP {100 * zero_shot.low:.0f} to "
            f"{100 * zero_shot.high:.0f} %, the adapted model {100 * adapted.low:.0f} to "
            f"{100 * adapted.high:.0f} %."
        )
        return (self.sentence, *filter(None, ("" if is_unknown else accuracy, self.unknown)))


def uses(answers: Iterable[Answer]) -> str:
    """Return the number of answers that teach, and of the others, as in `6 teach, 2 do not`."""
    kinds = [answer.kind for answer in answers]
    teach = kinds.count("class")
    clauses = [f"{teach:,} {'teaches' if teach == 1 else 'teach'}"]
    if idle := len(kinds) - teach:
        clauses.append(f"{idle:,} {'does' if idle == 1 else 'do'} not, for want of a class")
    return ", ".join(clauses) if kinds else ""


def _none_counts(evidence: MeasuredGain) -> str:
    """Return a sentence for a review in which no answer measures the gain yet."""
    estimate = evidence.estimate
    numbers = {
        "in other tasks": evidence.in_other_tasks,
        "about images on which the models agree": estimate.agreeing,
        "waiting for answers about earlier images": estimate.waiting,
    }
    total = sum(numbers.values())
    if not total:
        return "No answer yet."
    answers = "1 answer" if total == 1 else f"{total:,} answers"
    clauses = [f"{number:,} {what}" for what, number in numbers.items() if number]
    return f"No answer measures the gain yet ({answers}: {', '.join(clauses)})."


def unknown_classes(unknown: Counter[str | None], class_names: Sequence[str], file: Path) -> str:
    """Return a sentence on answers with unknown class names; empty if there are none.

    `unknown` is the number of answers per unknown name, and `file` is the file of the answers.
    """
    if not unknown:
        return ""
    total, clauses = unknown.total(), []
    for name, number in unknown.most_common(_SHOWN_NAMES):
        near = nearest(str(name), class_names)
        clauses.append(f'"{name}" ({number:,}{f", nearest: {near}" if near else ""})')
    if len(unknown) > _SHOWN_NAMES:
        clauses.append(f"{len(unknown) - _SHOWN_NAMES:,} more")
    answers = "1 answer names a class" if total == 1 else f"{total:,} answers name classes"
    verb = "does" if total == 1 else "do"
    # Reports show this sentence, so it names no folder above the run's.
    where = f"{file.absolute().parent.name}/{file.name}"
    return one_line(
        f"{answers} not in your list, and {verb} not count: {', '.join(clauses)}. Replace the "
        f"names in {where}, or answer again about these images with latte review."
    )


def not_shown(images: int) -> str:
    """Return sentences on images that a review cannot show; empty if there are none."""
    if not images:
        return ""
    return (
        "Images not asked about, as they changed since this run, are gone or cannot be read: "
        f"{images:,}. In the estimate of the gain, such an image counts as “cannot tell”."
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
