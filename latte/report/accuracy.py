"""State the accuracies that labelled images measure; claim only what 95 % intervals support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from latte.interfaces import Evaluation, Interval, RunModel, RunRecord, RunResults, Verdict
from latte.interfaces.record import EvaluationCopies
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, percent_range, plural, points, points_range
from latte.report.statement import Statement, Tone

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
    """Models of a run that labelled images measured, and their accuracies.

    Attributes:
        zero_shot: Accuracy of zero-shot CLIP; None, as are the other two, if nothing is measured.
        used: Accuracy of the model that the run uses.
        adapted: Accuracy of the adapted model, even if the guard did not accept it.
        own_images: Labels of training images by the run, measured on test images that are also
            training images.
        controls: Accuracy of the model that each control uses, by the control's name.
    """

    models: tuple[RunModel, ...]
    zero_shot: Evaluation | None
    used: Evaluation | None
    adapted: Evaluation | None
    own_images: Evaluation | None
    controls: Mapping[str, Evaluation]


def measured_models(record: RunRecord) -> MeasuredModels:
    """Return the models of a run that were measured."""
    models = record.evaluate.models
    classifiers = {model.name: model.classifier for model in models if model.classifier}
    adapted = record.evaluate.model("adapted")
    return MeasuredModels(
        models=tuple(model for model in models if model.classifier),
        zero_shot=classifiers.get("zero-shot"),
        used=classifiers.get(record.judge.used),
        adapted=classifiers.get("adapted"),
        own_images=None if adapted is None else adapted.own_images,
        controls={
            model.name: model.classifier
            for model in models
            if model.role == "control" and model.classifier
        },
    )


def score_rows(models: Iterable[RunModel]) -> list[dict[str, str]]:
    """Return the rows of the accuracy table: a text per column, and the role of the model."""
    return [
        {"name": one_line(title), "role": model.role, **_scores(evaluation)}
        for model in models
        for title, evaluation in model.accuracies()
    ]


def _scores(evaluation: Evaluation) -> dict[str, str]:
    images, gain = evaluation.images, evaluation.gain
    return {
        "top1": percent(evaluation.top1.value, images),
        "interval": percent_range(evaluation.top1, images),
        "images": count(images),
        "gain": points(gain.value, images) if gain else "",
        "gain_interval": points_range(gain, images) if gain else "",
        "top5": percent(evaluation.top5, images),
        "mean_per_class": percent(evaluation.mean_per_class, images),
    }


def copies_sentence(copies: EvaluationCopies) -> str:
    """Return a sentence on the near-copies among the test images: how many, which, and the fix."""
    image, training_image = map(one_line, copies.examples[0])
    number = plural(copies.images, "labelled test image")
    verb = "is a near-copy" if copies.images == 1 else "are near-copies"
    text = f"{number} {verb} of training images, such as {image} of {training_image}"
    if copies.left_out:
        return f"{text}: left out of all measurements."
    return (
        f"{text}, so the accuracies may be too high. To leave them out: "
        "evaluate: {near_copies: leave-out}."
    )


def accuracy_statements(
    models: MeasuredModels,
    verdict: Verdict | None,
    *,
    is_answered: bool,
    copies: EvaluationCopies | None = None,
) -> list[Statement]:
    """Return statements on the result of a run, and its accuracy table.

    `is_answered` is true if a person's answers measure the gain. `copies` are the test images that
    are near-copies of training images.
    """
    zero_shot, used, adapted = models.zero_shot, models.used, models.adapted
    if zero_shot is None or used is None or adapted is None:
        text = _ONLY_ANSWERS if is_answered else f"{_NO_LABELS} {_HOW_IT_CHANGED}"
        return [Statement("note" if is_answered else "result", text)]
    table = Statement("accuracies", _SAME_IMAGES, scores=tuple(score_rows(models.models)))
    if verdict is not None and not verdict.adapt:
        result, rivals = _kept(zero_shot, adapted), _stronger_control(models, adapted, verdict)
    else:
        result, rivals = _compared(zero_shot, used), _stronger_control(models, used, verdict)
    caution = [] if copies is None else [Statement("caution", copies_sentence(copies))]
    return [result, *rivals, *caution, *_own_images(models), table]


def gain_sentence(results: RunResults) -> str | None:
    """Return a sentence on the gain that a describer's answers brought; None if not measured.

    It is measured by the control run `no-questions`, if the adapted model is used in full.
    """
    models = measured_models(results.record)
    with_answers, without = models.adapted, models.controls.get(NO_QUESTIONS)
    if with_answers is None or without is None or results.record.judge.strength < 1:
        return None
    gain = points(with_answers.top1.value - without.top1.value, with_answers.images)
    return (
        f"The answers brought {gain} points over the control “{NO_QUESTIONS}” on "
        f"{plural(with_answers.images, 'labelled image')}."
    )


def _accuracy(evaluation: Evaluation) -> str:
    images = evaluation.images
    return (
        f"top-1 {percent(evaluation.top1.value, images)} on {plural(images, 'labelled image')} "
        f"(95 % interval {percent_range(evaluation.top1, images)})"
    )


def tone_of(gain: Interval) -> Tone:
    """Return what the interval of a gain says: better, worse, or the same."""
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "same"


def _gain(evaluation: Evaluation) -> Interval:
    assert evaluation.gain is not None, "only zero-shot CLIP has no gain"
    return evaluation.gain


def _compared(zero_shot: Evaluation, used: Evaluation) -> Statement:
    gain, images = _gain(used), plural(used.images, "labelled image")
    moved = (
        f"top-1 went from {percent(zero_shot.top1.value, zero_shot.images)} "
        f"to {percent(used.top1.value, used.images)} on {images}"
    )
    interval, tone = points_range(gain, used.images), tone_of(gain)
    size = points(abs(gain.value), used.images).lstrip("+")
    verb = "gained" if tone == "better" else "lost"
    text = (
        f"No measurable gain: {moved} (the 95 % interval of the difference, {interval} "
        "points, contains zero)."
        if tone == "same"
        else f"Adapting {verb} {size} points: {moved} "
        f"(95 % interval of the difference {interval} points)."
    )
    return Statement("result", text + _at_chance(zero_shot, used), tone=tone)


def _kept(zero_shot: Evaluation, adapted: Evaluation) -> Statement:
    """Return the result of a run whose guard rejected the adapted model."""
    images, gain = adapted.images, _gain(adapted)
    sentence = (
        f"This run uses zero-shot CLIP: {_accuracy(zero_shot)}. "
        f"The adapted model reaches {percent(adapted.top1.value, images)}: "
        f"{points(gain.value, images)} points (95 % interval {points_range(gain, images)})."
    )
    if tone_of(gain) == "better":
        sentence += " It is measurably better: `latte predict --use adapted` uses it."
    return Statement("result", sentence + _at_chance(zero_shot, adapted), tone="same")


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
    models: MeasuredModels, model: Evaluation, verdict: Verdict | None
) -> list[Statement]:
    """Return a statement on the best control if it is at least as accurate as `model`."""
    rival = stronger_control(models, model, verdict)
    if rival is None:
        return []
    name, best = rival
    than = "" if model is models.used else " as the adapted model"
    text = (
        f"The control “{name}” did at least as well{than}: "
        f"{percent(best.top1.value, best.images)}. "
        "What the recipe adds to this control brought no measurable gain."
    )
    return [Statement("caution", text)]


def stronger_control(
    models: MeasuredModels, model: Evaluation, verdict: Verdict | None
) -> tuple[str, Evaluation] | None:
    """Return name and accuracy of the best control if it is at least as accurate as `model`.

    With a `verdict`, controls that kept zero-shot CLIP are ignored: their accuracy says nothing
    about their recipe.
    """
    zero_shot_classes = (
        None if verdict is None or models.zero_shot is None else models.zero_shot.classes
    )
    rivals = {
        name: control
        for name, control in models.controls.items()
        if control.top1.value >= model.top1.value and control.classes != zero_shot_classes
    }
    if not rivals:
        return None
    return max(rivals.items(), key=lambda rival: rival[1].top1.value)


def _own_images(models: MeasuredModels) -> list[Statement]:
    """Return a note on test images that are also training images, if measured separately."""
    if models.own_images is None or models.adapted is None:
        return []
    text = (
        f"Test images that are also training images: {count(models.own_images.images)}. “adapted, "
        "own images” measures the labels that the run gave them, together with all training "
        "images. “adapted” measures the classifier, without these labels, on "
        f"{plural(models.adapted.images, 'test image')}."
    )
    return [Statement("note", text)]
