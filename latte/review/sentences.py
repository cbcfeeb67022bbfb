"""Sentences about an estimate, for the page, the terminal and the report."""

from __future__ import annotations

from latte.interfaces import Interval
from latte.review.estimate import Estimate


def gain_sentence(found: Estimate, adapted: str = "the adapted model") -> str:
    """Return a sentence on the gain that the answers so far measure.

    Example:
        >>> gain_sentence(found)  # doctest: +SKIP
        'After 37 answers: the adapted model is better by +6.1 points (95 %: +2.0 to +10.4).'
    """
    if not found.disagreements:
        return f"Zero-shot CLIP and {adapted} agree on all {found.images:,} images: no gain."
    if not found.answered:
        return (
            f"Zero-shot CLIP and {adapted} disagree on {found.disagreements:,} of "
            f"{found.images:,} images. No answer yet."
        )
    if found.answered == found.disagreements and not found.unsure:
        return (
            f"All {found.disagreements:,} disagreements are answered: {adapted} changes accuracy "
            f"by {_points(found.gain.value)} points on these images."
        )
    answers = "1 answer" if found.answered == 1 else f"{found.answered:,} answers"
    interval = f"{_points(found.gain.value)} points (95 %: {_range(found.gain)})"
    if found.better == "adapted":
        return f"After {answers}: {adapted} is better by {interval}."
    if found.better == "zero-shot":
        return f"After {answers}: zero-shot CLIP is better; {adapted} changes it by {interval}."
    return f"After {answers}: not decided yet; {adapted} changes accuracy by {interval}."


def accuracy_sentence(found: Estimate, adapted: str = "the adapted model") -> str:
    """Return both accuracies with their intervals, in percent; empty if nothing is known."""
    one, other = found.zero_shot, found.adapted
    if one.high - one.low > 1 - 1e-9:  # no answer yet
        return ""
    return (
        f"Accuracy: zero-shot CLIP {100 * one.low:.0f} to {100 * one.high:.0f} %, "
        f"{adapted} {100 * other.low:.0f} to {100 * other.high:.0f} %."
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _range(interval: Interval) -> str:
    return f"{_points(interval.low)} to {_points(interval.high)}"
