"""State the accuracies that labelled images measure; claim only what 95 % intervals support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from latte.interfaces import OWN_IMAGES, Evaluation, Interval, RunResults, Verdict
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, percent_range, plural, points, points_range
from latte.report.statement import Statement, Tone

Role = Literal["zero-shot", "adapted", "candidate", "control"]

NO_QUESTIONS = "no-questions"
"""Name of the control that is the same run without a describer's answers."""

_NO_LABELS = "The accuracy is unknown, because there are no labelled images to measure it on."
_HOW_IT_CHANGED = "The other figures show only how the predictions changed."
_ONLY_ANSWERS = (
    "A person's answers about training images measure the gain, because there are no labelled "
    "images."
)
_SAME_IMAGES = "Gains compare with zero-shot CLIP on the same images, image by image."
_WILSON = 1.96**2
"""If all n images are right, the 95 % Wilson interval of the accuracy begins at n / (n + 1.96²)."""


@dataclass(frozen=True)
class MeasuredModels:
    """Accuracies of a run's models on labelled images; None for a model that is not measured.

    Attributes:
        adapted: The model that the run uses.
        candidate: The adapted model, if the guard did not accept it in full.
        own_images: Labels of training images by the run, measured on test images that are also
            training images.
    """

    evaluations: tuple[Evaluation, ...]
    zero_shot: Evaluation | None
    adapted: Evaluation | None
    candidate: Evaluation | None
    own_images: Evaluation | None
    controls: tuple[Evaluation, ...]


def measured_models(evaluations: Sequence[Evaluation]) -> MeasuredModels:
    """Return the evaluations of a run by the role of the model."""
    by_name = {evaluation.name: evaluation for evaluation in evaluations}
    own_images = (by_name.get(f"{name}{OWN_IMAGES}") for name in ("adapted", "candidate"))
    return MeasuredModels(
        evaluations=tuple(evaluations),
        zero_shot=by_name.get("zero-shot"),
        adapted=by_name.get("adapted"),
        candidate=by_name.get("candidate"),
        own_images=next(filter(None, own_images), None),
        controls=tuple(evaluation for evaluation in evaluations if role(evaluation) == "control"),
    )


def role(evaluation: Evaluation) -> Role:
    """Return the role of the model that was evaluated."""
    roles: dict[str, Role] = {name: name for name in ("zero-shot", "adapted", "candidate")}
    return roles.get(evaluation.name.removesuffix(OWN_IMAGES), "control")


def scores(evaluation: Evaluation) -> dict[str, str]:
    """Return a model's row of the accuracy table: a text per column."""
    images, gain = evaluation.images, evaluation.gain
    return {
        "name": one_line(evaluation.name),
        "role": role(evaluation),
        "top1": percent(evaluation.top1.value, images),
        "interval": percent_range(evaluation.top1, images),
        "images": count(images),
        "gain": points(gain.value, images) if gain else "",
        "gain_interval": points_range(gain, images) if gain else "",
        "top5": percent(evaluation.top5, images),
        "mean_per_class": percent(evaluation.mean_per_class, images),
    }


def accuracy_statements(
    models: MeasuredModels, verdict: Verdict | None, *, is_answered: bool
) -> list[Statement]:
    """Return statements on the result of a run, and its accuracy table.

    `is_answered` is true if a person's answers measure the gain.
    """
    zero_shot, adapted = models.zero_shot, models.adapted
    if zero_shot is None:
        text = _ONLY_ANSWERS if is_answered else f"{_NO_LABELS} {_HOW_IT_CHANGED}"
        return [Statement("note" if is_answered else "result", text)]
    table = Statement("accuracies", _SAME_IMAGES, scores=tuple(map(scores, models.evaluations)))
    if adapted is None or adapted.gain is None:
        text = f"Only zero-shot CLIP was measured: {_accuracy(zero_shot)}."
        return [Statement("result", text), table]
    if verdict is not None and not verdict.adapt:
        model, result = models.candidate, _kept(adapted, models.candidate)
    else:
        text = _compared(zero_shot, adapted, adapted.gain) + _at_chance(zero_shot, adapted)
        model, result = adapted, Statement("result", text, tone=_tone(adapted.gain))
    is_guarded = verdict is not None
    control = _stronger_control(models, model, guarded=is_guarded) if model else []
    return [result, *control, *_own_images(models), table]


def gain_sentence(results: RunResults) -> str | None:
    """Return a sentence on the gain expected from a describer's answers; None if not estimated.

    If the adapted model is used in full, the sentence is followed by the measured gain over the
    control run `no-questions`.
    """
    if results.record.train.expected_gain is None:
        return None
    sentence = f"Expected gain of the answers: {results.record.train.expected_gain}."
    models, verdict = measured_models(results.evaluations), results.record.train.verdict
    with_answers = models.adapted
    without = next((control for control in models.controls if control.name == NO_QUESTIONS), None)
    if with_answers is None or without is None or (verdict and verdict.strength < 1):
        return sentence
    gain = points(with_answers.top1.value - without.top1.value, with_answers.images)
    return (
        f"{sentence} Measured gain over the control “{NO_QUESTIONS}”: {gain} points on "
        f"{plural(with_answers.images, 'labelled image')}."
    )


def _accuracy(evaluation: Evaluation) -> str:
    images = evaluation.images
    return (
        f"top-1 {percent(evaluation.top1.value, images)} on {plural(images, 'labelled image')} "
        f"(95 % interval {percent_range(evaluation.top1, images)})"
    )


def _tone(gain: Interval) -> Tone:
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "same"


def _compared(zero_shot: Evaluation, adapted: Evaluation, gain: Interval) -> str:
    images = plural(adapted.images, "labelled image")
    moved = (
        f"top-1 went from {percent(zero_shot.top1.value, zero_shot.images)} "
        f"to {percent(adapted.top1.value, adapted.images)} on {images}"
    )
    interval, tone = points_range(gain, adapted.images), _tone(gain)
    if tone == "same":
        return (
            f"No measurable gain: {moved} (the 95 % interval of the difference, {interval} "
            "points, contains zero)."
        )
    size = points(abs(gain.value), adapted.images).lstrip("+")
    verb = "gained" if tone == "better" else "lost"
    return (
        f"Adapting {verb} {size} points: {moved} "
        f"(95 % interval of the difference {interval} points)."
    )


def _kept(zero_shot: Evaluation, candidate: Evaluation | None) -> Statement:
    """Return the result of a run whose guard rejected the adapted model (the candidate)."""
    sentence = f"This run uses zero-shot CLIP: {_accuracy(zero_shot)}."
    if candidate is None or candidate.gain is None:
        return Statement("result", sentence, tone="same")
    images, gain = candidate.images, candidate.gain
    sentence += (
        f" The candidate reaches {percent(candidate.top1.value, images)}: "
        f"{points(gain.value, images)} points (95 % interval {points_range(gain, images)})."
    )
    if _tone(gain) == "better":
        sentence += " The candidate is measurably better: `latte predict --candidate` uses it."
    return Statement("result", sentence + _at_chance(zero_shot, candidate), tone="same")


def _at_chance(zero_shot: Evaluation, adapted: Evaluation) -> str:
    """Return a warning if no accuracy is measurably above 1 / number of classes, else `""`.

    There is no warning if the images are so few that 100 % would not be measurably above it either.
    """
    classes, images = len(zero_shot.classes), zero_shot.images
    highest = images / (images + _WILSON)
    low = max(zero_shot.top1.low, adapted.top1.low)
    if classes < 2 or low > 1 / classes or highest <= 1 / classes:
        return ""
    return (
        f" Neither is measurably better than chance ({percent(1 / classes, zero_shot.images)} for "
        f"{count(classes)} classes): the class names or the model may not fit these images."
    )


def _stronger_control(
    models: MeasuredModels, model: Evaluation, *, guarded: bool
) -> list[Statement]:
    """Return a statement on the best control run if it is at least as accurate as `model`.

    If `guarded`, control runs that kept zero-shot CLIP are ignored: their accuracy says nothing
    about their recipe.
    """
    zero_shot = models.zero_shot
    rivals = [
        control
        for control in models.controls
        if control.top1.value >= model.top1.value
        and not (guarded and zero_shot and control.classes == zero_shot.classes)
    ]
    if not rivals:
        return []
    best = max(rivals, key=lambda control: control.top1.value)
    than = " as the candidate" if model is models.candidate else ""
    text = (
        f"The control “{one_line(best.name)}” did at least as well{than}: "
        f"{percent(best.top1.value, best.images)}. "
        "What the recipe adds to this control brought no measurable gain."
    )
    return [Statement("caution", text)]


def _own_images(models: MeasuredModels) -> list[Statement]:
    """Return a note on test images that are also training images, if measured separately."""
    labels = models.own_images
    is_adapted = labels is not None and role(labels) == "adapted"
    classifier = models.adapted if is_adapted else models.candidate
    if labels is None or classifier is None:
        return []
    text = (
        f"Test images that are also training images: {count(labels.images)}. “{labels.name}” "
        "measures the labels that the run gave them, together with all training images. "
        f"“{classifier.name}” measures the classifier, without these labels, on "
        f"{plural(classifier.images, 'test image')}."
    )
    return [Statement("note", text)]
