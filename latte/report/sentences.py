"""What a run's numbers say in one sentence: better, worse, or not to be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from latte.interfaces import OWN_IMAGES, Evaluation, Interval, PresentNames, RunResults, Verdict
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, percent_range, plural, points, points_range
from latte.results.identity import is_oracle

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


# The mark of runs that used ground-truth labels of their training images.


STATEMENT = (
    "group descriptions used ground-truth labels of the training images; "
    "not an unsupervised result."
)


def oracle_note(recipe: Mapping[str, Any]) -> str | None:
    """The line that marks a run; None where neither the recipe nor a control uses labels.

    It names the oracles where some of the run's models are none.
    """
    models = _models(recipe)
    oracles = [one_line(name) for name, uses_labels in models.items() if uses_labels]
    if not oracles:
        return None
    named = "" if len(oracles) == len(models) else f" ({', '.join(oracles)})"
    return f"Oracle{named}: {STATEMENT}"


def _models(recipe: Mapping[str, Any]) -> dict[str, bool]:
    """The adapted model and the controls by name: does it use labels?"""
    written = recipe.get("controls")
    controls = written if isinstance(written, Mapping) else {}
    own = is_oracle(recipe)
    return {ADAPTED: own} | {
        str(name): is_oracle({"oracle": own, **control}) for name, control in controls.items()
    }


# Which of the class names occur among a run's images, in one sentence.


ALL_OCCUR = "Every class name has an image that supports it."
_SHOWN = 3


def present_sentence(present: PresentNames | None, classes: int) -> str | None:
    """`About 7 of 100 names occur (95 %: 5 to 11); no image supports: a, b, c and 90 more`.

    Returns None where all names are supported, and where nothing was estimated.
    """
    if present is None or not present.unsupported:
        return None
    names = present.unsupported
    shown = ", ".join(map(one_line, names[:_SHOWN]))
    more = f" and {count(len(names) - _SHOWN)} more" if len(names) > _SHOWN else ""
    return (
        f"About {count(present.expected)} of {count(classes)} names occur (95 %: "
        f"{count(present.low)} to {count(present.high)}); no image supports: {shown}{more}"
    )


# A guard's verdict in words that need no statistics, with the command that overrides it.


NO_GUARD = "No verdict: this recipe has no guard."
WITHOUT_GUARD = "--set guard=null"
_PLAIN_CLIP = "What plain CLIP says of your images is in pseudo_labels.csv, column zero_shot."

VerdictTone = Literal["better", "unknown", "kept", "none"]


@dataclass(frozen=True)
class VerdictWords:
    """A verdict as people read it."""

    tone: VerdictTone
    sentence: str
    reason: str | None = None
    """A whole sentence, as is `advice`."""
    advice: str | None = None
    """How to have it the other way."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Sentence, reason and advice, as far as they are there."""
        return tuple(one for one in (self.sentence, self.reason, self.advice) if one)


def verdict_words(results: RunResults, run: str) -> VerdictWords:
    """Return the words of a run's verdict; commands call the run folder `run`."""
    verdict = results.verdict
    if verdict is None:
        return VerdictWords("none", NO_GUARD)
    reason = one_line(verdict.reason)
    reason = reason[0].upper() + reason[1:] + "."
    sure = "" if verdict.probability is None else f" (probability {verdict.probability:.2f})"
    match verdict.outcome:
        case "kept zero-shot":
            sentence = f"Kept plain CLIP: the evidence that adapting helps is too weak{sure}."
            advice = (
                f"To adapt anyway, add {WITHOUT_GUARD} to the command of this run; the rejected "
                f"classifier is in {run}/candidate (latte predict {run} IMAGES --candidate)."
            )
            return VerdictWords("kept", sentence, reason, advice)
        case "likely better":
            sentence = (
                f"{_adapted(verdict)}: likely better than plain CLIP on images like these{sure}."
            )
            return VerdictWords("better", sentence, reason, _whole(verdict, run))
        case "cannot tell":
            sentence = f"{_adapted(verdict)}, but cannot tell whether it helps{sure}."
            advice = " ".join(filter(None, [_whole(verdict, run), _PLAIN_CLIP]))
            return VerdictWords("unknown", sentence, reason, advice)


def verdict_label(verdict: Verdict | None) -> str:
    """`likely better (0.93)`, or `guard: none`, for a column of a table."""
    if verdict is None:
        return "guard: none"
    sure = "" if verdict.probability is None else f" ({verdict.probability:.2f})"
    return f"{verdict.outcome}{sure}"


def _adapted(verdict: Verdict) -> str:
    if verdict.strength == 1:
        return "Adapted"
    return f"Adapted in part (strength {verdict.strength:.2f})"


def _whole(verdict: Verdict, run: str) -> str | None:
    if verdict.strength == 1:
        return None
    return (
        f"The whole candidate is in {run}/candidate (latte predict {run} IMAGES --candidate); to "
        f"take all of it, add {WITHOUT_GUARD} to the command of this run."
    )
