"""What a run's numbers say in one sentence: better, worse, or not to be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from latte.interfaces import OWN_IMAGES, Evaluation, Interval
from latte.report.numbers import count, percent, percent_range, plural, points, points_range
from latte.report.plain import one_line

ZERO_SHOT = "zero-shot"
ADAPTED = "adapted"
CANDIDATE = "candidate"

Tone = Literal["better", "same", "worse", "unknown"]


@dataclass(frozen=True)
class Headline:
    """The verdict on a run, in words that its intervals allow."""

    tone: Tone
    sentence: str
    control: str | None = None
    """What a control that did at least as well takes away from the verdict."""


def named(evaluations: Sequence[Evaluation], name: str) -> Evaluation | None:
    """The evaluation of that name, if there is one."""
    return next((evaluation for evaluation in evaluations if evaluation.name == name), None)


def controls(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Everything beside zero-shot, adapted and candidate, also on the run's own images."""
    return [evaluation for evaluation in evaluations if main_name(evaluation) is None]


def main_name(evaluation: Evaluation) -> str | None:
    """`zero-shot`, `adapted` or `candidate`, on whatever images; None for a control."""
    name = evaluation.name.removesuffix(OWN_IMAGES)
    return name if name in (ZERO_SHOT, ADAPTED, CANDIDATE) else None


def own_note(evaluations: Sequence[Evaluation]) -> str | None:
    """What the figures of the run's own images mean; None where there are none."""
    pairs = [
        (named(evaluations, name), named(evaluations, f"{name}{OWN_IMAGES}"))
        for name in (ADAPTED, CANDIDATE)
    ]
    after, own = next(((first, own) for first, own in pairs if own), (None, None))
    if after is None or own is None:
        return None
    return (
        f"Test images that are also training images: {count(own.images)}. The labeler decided all "
        f"training images together; “{own.name}” measures its answers. “{after.name}” measures the "
        f"classifier that new images get, on {plural(after.images, 'test image')}."
    )


def headline(evaluations: Sequence[Evaluation]) -> Headline:
    """The verdict on a run with these evaluations (see `RunResults.evaluations`)."""
    before, after = named(evaluations, ZERO_SHOT), named(evaluations, ADAPTED)
    if before is None:
        return Headline("unknown", _NO_LABELS)
    if after is None or after.gain is None:
        return Headline("unknown", _only_zero_shot(before))
    tone = _tone(after.gain)
    return Headline(
        tone, _compared(tone, before, after, after.gain), _stronger_control(evaluations, after)
    )


_NO_LABELS = (
    "There is no labelled evaluation split, so the accuracy of this model is unknown. "
    "The figures here need no labels: they say how the model changed, not whether it got better."
)


def _only_zero_shot(before: Evaluation) -> str:
    return (
        f"Only the zero-shot CLIP was evaluated: top-1 {percent(before.top1.value, before.images)} "
        f"on {plural(before.images, 'labelled image')} "
        f"(95 % interval {percent_range(before.top1, before.images)})."
    )


def _tone(gain: Interval) -> Tone:
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "same"


def _compared(tone: Tone, before: Evaluation, after: Evaluation, gain: Interval) -> str:
    moved = (
        f"top-1 went from {percent(before.top1.value, before.images)} "
        f"to {percent(after.top1.value, after.images)} on {plural(after.images, 'labelled image')}"
    )
    interval = points_range(gain, after.images)
    if tone == "same":
        return (
            f"No gain that can be told from zero: {moved}, and the 95 % interval of the "
            f"difference, {interval} points, contains zero."
        )
    size = points(abs(gain.value), after.images).lstrip("+")
    verdict = f"Adapting gained {size}" if tone == "better" else f"Adapting lost {size}"
    return f"{verdict} points: {moved} (95 % interval of the difference {interval} points)."


def _stronger_control(evaluations: Sequence[Evaluation], after: Evaluation) -> str | None:
    rivals = [
        control for control in controls(evaluations) if control.top1.value >= after.top1.value
    ]
    if not rivals:
        return None
    best = max(rivals, key=lambda control: control.top1.value)
    return (
        f"The control “{one_line(best.name)}” did at least as well: "
        f"{percent(best.top1.value, best.images)}. "
        "What the recipe has beyond this control has not shown a benefit here."
    )
