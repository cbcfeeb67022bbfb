"""Write sentences about a run's result, for terminal, page and model card.

A guard's *verdict* says what a run uses (the adapted model, zero-shot CLIP or a mix of both),
and why. An adapted model that a guard did not accept in full is called *candidate*. The *posterior*
of a run has class probabilities of its training images; it exists if a labeler labelled all of them
together.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from latte.interfaces import OWN_IMAGES, Evaluation, Interval, PresentNames, RunResults, Verdict
from latte.io.redaction import one_line
from latte.report.numbers import count, percent, percent_range, plural, points, points_range
from latte.results.folder import RunFolder
from latte.results.given_labels import label_files
from latte.results.identity import is_oracle
from latte.results.run import Run
from latte.review.sentences import NAME_GROUPS, Evidence

ZERO_SHOT = "zero-shot"
ADAPTED = "adapted"
CANDIDATE = "candidate"
NO_QUESTIONS = "no-questions"
"""Name of the control that is the same run without a describer's answers."""

MIN_IMAGES = 25
"""With fewer training images, no sentence says which classes occur. The benchmark `folders` has no
smaller folders, so the factors of the interval are not known for them."""
ALL_OCCUR = "Images were found for every class name."
CHECK_NAMES = "Check these names: most CLIP models know only correctly spelt English words."
NO_GUARD = "No verdict: this recipe has no guard that could keep zero-shot CLIP."
ORACLE_STATEMENT = (
    "group descriptions used ground-truth labels of the training images; "
    "not an unsupervised result."
)

_NO_LABELS = "The accuracy is unknown, because there are no labelled images to measure it on."
_HOW_IT_CHANGED = "The other figures show only how the predictions changed."
_ONLY_ANSWERS = (
    "A person's answers about training images measure the gain, because there are no labelled "
    "images."
)
_LOSSES = (
    "On image sets that nobody had tuned latte to, about one in four adapted folders lost more "
    "than a point of accuracy."
)
_FORGONE = (
    "On image sets that nobody had tuned latte to, about one large gain in three was given up in "
    "this way."
)
_MEASURE = "To measure the gain with a few dozen answers"
_ZERO_SHOT_LABELS = "The labels by zero-shot CLIP are in pseudo_labels.csv, column zero_shot."
_SHOWN_NAMES = 3
_WILSON = 1.96**2
"""If all n images are right, the 95 % Wilson interval of the accuracy begins at n / (n + 1.96²)."""

Tone = Literal["better", "same", "worse", "unknown"]
VerdictTone = Literal["better", "unknown", "kept", "none"]


@dataclass(frozen=True)
class Headline:
    """Sentence on the measured result of a run; it claims only what the 95 % intervals support."""

    tone: Tone
    sentence: str
    control: str | None = None
    """Sentence on a control run that is at least as accurate as the adapted model or candidate."""


@dataclass(frozen=True)
class VerdictWords:
    """The measured gain or a guard's verdict in words, for readers who know no statistics."""

    tone: VerdictTone
    sentence: str
    details: tuple[str, ...] = ()
    """More sentences on the gain that a person's answers measure."""
    reason: str | None = None
    commands: tuple[tuple[str, str], ...] = ()
    """Pairs (purpose, command): commands that measure the gain, or use the candidate instead."""
    advice: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines to show: sentence, details, reason, `PURPOSE: COMMAND` lines, and advice."""
        commands = (f"{purpose}: {command}" for purpose, command in self.commands)
        found = (self.sentence, *self.details, self.reason, *commands, self.advice)
        return tuple(one for one in found if one)


def named(evaluations: Sequence[Evaluation], name: str) -> Evaluation | None:
    """Return the evaluation called `name`; None if there is none."""
    return next((evaluation for evaluation in evaluations if evaluation.name == name), None)


def main_name(evaluation: Evaluation) -> str | None:
    """Return `zero-shot`, `adapted` or `candidate`; None for an evaluation of a control run."""
    name = evaluation.name.removesuffix(OWN_IMAGES)
    return name if name in (ZERO_SHOT, ADAPTED, CANDIDATE) else None


def headline(
    evaluations: Sequence[Evaluation],
    verdict: Verdict | None = None,
    evidence: Evidence | None = None,
) -> Headline:
    """Return the headline of a run, from `RunResults.evaluations` and the guard's verdict.

    `evidence` is the gain that a person's answers measure; it is used only without labelled images.
    """
    before, after = named(evaluations, ZERO_SHOT), named(evaluations, ADAPTED)
    if before is None:
        if evidence is not None and evidence.estimate.answered:
            answers = f"{evidence.sentence} {_ONLY_ANSWERS}"
            return Headline(_tone(evidence.estimate.gain), answers)
        return Headline("unknown", f"{_NO_LABELS} {_HOW_IT_CHANGED}")
    if after is None or after.gain is None:
        return Headline("unknown", f"Only zero-shot CLIP was measured: {_accuracy(before)}.")
    if verdict is not None and verdict.outcome == "kept zero-shot":
        return _kept(evaluations, after)
    tone = _tone(after.gain)
    rival = _stronger_control(evaluations, after, guarded=verdict is not None)
    sentence = _compared(tone, before, after, after.gain) + _at_chance(before, after)
    return Headline(tone, sentence, rival)


def own_note(evaluations: Sequence[Evaluation]) -> str | None:
    """Return a note on test images that are also training images, if measured separately."""
    for name in (ADAPTED, CANDIDATE):
        after, own = named(evaluations, name), named(evaluations, f"{name}{OWN_IMAGES}")
        if after and own:
            return (
                f"Test images that are also training images: {count(own.images)}. “{own.name}” "
                "measures the labels that the run gave them, together with all training images. "
                f"“{after.name}” measures the classifier, without these labels, on "
                f"{plural(after.images, 'test image')}."
            )
    return None


def answers_note(results: RunResults) -> str | None:
    """Return sentences on the describer's reliability and the gain from its answers, or None."""
    known = [results.reliability and one_line(results.reliability), gain_sentence(results)]
    return " ".join(filter(None, known)) or None


def failed_advice(results: RunResults, run: str) -> tuple[str, ...]:
    """Return a sentence on failed requests and the command that sends them again, or nothing."""
    found = results.failed
    if found is None:
        return ()
    return (
        f"{count(found.count)} of {count(found.requests)} requests for descriptions failed, most "
        f"often with “{one_line(found.reason)}”. To send them again:",
        Run(RunFolder(results.folder)).repeat_command(name=run),
    )


def gain_sentence(results: RunResults) -> str | None:
    """Return a sentence on the gain expected from a describer's answers; None if not estimated.

    If the adapted model is used in full, the sentence is followed by the measured gain over the
    control run `no-questions`.
    """
    if results.expected_gain is None:
        return None
    sentence = f"Expected gain of the answers: {results.expected_gain}."
    evaluations, verdict = results.evaluations, results.verdict
    with_answers, without = named(evaluations, ADAPTED), named(evaluations, NO_QUESTIONS)
    if with_answers is None or without is None or (verdict and verdict.strength < 1):
        return sentence
    gain = points(with_answers.top1.value - without.top1.value, with_answers.images)
    return (
        f"{sentence} Measured gain over the control “{NO_QUESTIONS}”: {gain} points on "
        f"{plural(with_answers.images, 'labelled image')}."
    )


def _accuracy(one: Evaluation) -> str:
    return (
        f"top-1 {percent(one.top1.value, one.images)} on {plural(one.images, 'labelled image')} "
        f"(95 % interval {percent_range(one.top1, one.images)})"
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
            f"No measurable gain: {moved} (the 95 % interval of the difference, {interval} "
            "points, contains zero)."
        )
    size = points(abs(gain.value), after.images).lstrip("+")
    verb = "gained" if tone == "better" else "lost"
    return (
        f"Adapting {verb} {size} points: {moved} "
        f"(95 % interval of the difference {interval} points)."
    )


def _kept(evaluations: Sequence[Evaluation], after: Evaluation) -> Headline:
    """Return the headline of a run whose guard rejected the adapted model (the candidate)."""
    sentence = f"This run uses zero-shot CLIP: {_accuracy(after)}."
    candidate = named(evaluations, CANDIDATE)
    if candidate is None or candidate.gain is None:
        return Headline("same", sentence)
    images, gain = candidate.images, candidate.gain
    sentence += (
        f" The candidate reaches {percent(candidate.top1.value, images)}: "
        f"{points(gain.value, images)} points (95 % interval {points_range(gain, images)})."
    )
    if _tone(gain) == "better":
        sentence += " The candidate is measurably better: `latte predict --candidate` uses it."
    sentence += _at_chance(after, candidate)
    rival = _stronger_control(evaluations, candidate, guarded=True)
    return Headline("same", sentence, rival)


def _at_chance(before: Evaluation, after: Evaluation) -> str:
    """Return a warning if no accuracy is measurably above 1 / number of classes, else `""`.

    There is no warning if the images are so few that 100 % would not be measurably above it either.
    """
    classes, images = len(before.classes), before.images
    highest = images / (images + _WILSON)
    if classes < 2 or max(before.top1.low, after.top1.low) > 1 / classes or highest <= 1 / classes:
        return ""
    return (
        f" Neither is measurably better than chance ({percent(1 / classes, before.images)} for "
        f"{count(classes)} classes): the class names or the model may not fit these images."
    )


def _stronger_control(
    evaluations: Sequence[Evaluation], after: Evaluation, *, guarded: bool
) -> str | None:
    """Return a sentence on the best control run if it is at least as accurate as `after`.

    If `guarded`, control runs that kept zero-shot CLIP are ignored: their accuracy says nothing
    about their recipe.
    """
    before = named(evaluations, ZERO_SHOT)
    rivals = [
        control
        for control in evaluations
        if main_name(control) is None
        and control.top1.value >= after.top1.value
        and not (guarded and before and control.classes == before.classes)
    ]
    if not rivals:
        return None
    best = max(rivals, key=lambda control: control.top1.value)
    than = f" as the {CANDIDATE}" if after.name == CANDIDATE else ""
    return (
        f"The control “{one_line(best.name)}” did at least as well{than}: "
        f"{percent(best.top1.value, best.images)}. "
        "What the recipe adds to this control brought no measurable gain."
    )


def oracle_note(recipe: Mapping[str, Any]) -> str | None:
    """Return a line that says which models used labels of training images; None if none did."""
    notes = []
    if recipe.get("corrections"):
        files = one_line(", ".join(label_files(recipe)))
        notes.append(f"Corrected: labels that a person gave were used, from {files}.")
    written = recipe.get("controls")
    own = is_oracle(recipe)
    uses_labels = {ADAPTED: own} | {
        one_line(str(name)): is_oracle({"oracle": own, **control})
        for name, control in (written.items() if isinstance(written, Mapping) else ())
    }
    oracles = [name for name, oracle in uses_labels.items() if oracle]
    if oracles:
        which = "" if len(oracles) == len(uses_labels) else f" ({', '.join(oracles)})"
        notes.append(f"Oracle{which}: {ORACLE_STATEMENT}")
    return " ".join(notes) or None


def known_present(results: RunResults) -> PresentNames | None:
    """Return the estimate of which classes occur; None if there are too few images for it."""
    return results.present if results.training_images >= MIN_IMAGES else None


def present_sentence(present: PresentNames | None, classes: int) -> str | None:
    """Return a sentence on the class names that occur among the training images.

    Example: `About 7 of 100 classes occur (95 % interval 5 to 11); names that no image clearly
    shows: a, b, c`.

    Returns None if images of all classes were found, or nothing was estimated.
    """
    if present is None or not present.unsupported:
        return None
    names = present.unsupported
    shown = ", ".join(map(one_line, names[:_SHOWN_NAMES]))
    rest = len(names) - _SHOWN_NAMES
    more = f" and {count(rest)} more" if rest > 0 else ""
    # A wider interval says nothing about the number.
    is_known = present.high - present.low <= classes / 2
    interval = f" (95 % interval {count(present.low)} to {count(present.high)})" if is_known else ""
    return (
        f"About {count(present.expected)} of {count(classes)} classes occur{interval}; names that "
        f"no image clearly shows: {shown}{more}"
    )


def absent_advice(results: RunResults, run: str) -> tuple[str, ...]:
    """Return advice on class names without an image, and a command for the run folder `run`."""
    return (
        f"{CHECK_NAMES} If images show them, these images have labels of other classes. To correct "
        f"whole groups of images, choose the task “{NAME_GROUPS}” of:",
        f"latte review {shlex.quote(run)}",
    )


def verdict_words(results: RunResults, run: str, evidence: Evidence | None = None) -> VerdictWords:
    """Return the guard's verdict in words; its commands name the run folder `run`.

    If a person's answers measure the gain (`evidence`), this gain comes first, and the verdict
    follows. If nothing measures the gain, the words say that it is not known, and name the command
    that measures it.
    """
    words = _guard_words(results, run)
    if evidence is not None and evidence.estimate.answered:
        return _measured_words(words, results.verdict, evidence)
    if results.evaluations:
        return words
    measure = (_MEASURE, f"latte review {shlex.quote(run)}")
    words = replace(words, commands=(measure, *words.commands))
    if results.verdict is None or results.recipe.get("corrections"):
        return words
    if words.tone == "kept":
        unknown = "Whether adapting would help is not known: features alone cannot tell."
        return replace(words, sentence=f"{words.sentence} {unknown}", details=(_FORGONE,))
    unknown = "Whether this helps is not known: features alone cannot tell."
    return replace(words, sentence=f"{words.sentence} {unknown}", details=(_LOSSES,))


def _measured_words(
    words: VerdictWords, verdict: Verdict | None, evidence: Evidence
) -> VerdictWords:
    """Return the gain that a person's answers measure, and the guard's `words` below it."""
    better, is_kept = evidence.estimate.better, words.tone == "kept"
    tone: VerdictTone = "better" if better == "adapted" else "kept" if is_kept else "unknown"
    sentence, *details = evidence.lines
    advice = {"adapted": None, "zero-shot": _ZERO_SHOT_LABELS, None: words.advice}[better]
    advice = None if is_kept else advice
    if verdict is None:
        return VerdictWords(tone, sentence, tuple(details), advice=advice)
    reason = f"The guard's verdict, from the images alone: {verdict.outcome}. {words.reason}"
    found = f"{words.sentence} {sentence}"
    return VerdictWords(tone, found, tuple(details), reason, words.commands, advice)


def _guard_words(results: RunResults, run: str) -> VerdictWords:
    verdict = results.verdict
    if verdict is None:
        return VerdictWords("none", NO_GUARD)
    reason = one_line(verdict.reason)
    reason = reason[0].upper() + reason[1:] + "."
    use = f"latte predict {shlex.quote(run)} IMAGES --candidate"
    saved = Run(RunFolder(results.folder))
    unguarded = (
        "To adapt without the guard",
        saved.repeat_command("--set", "guard=null", name=run),
    )
    if not verdict.adapt:
        purpose = "To use the candidate, the adapted model that the guard did not accept"
        commands = ((purpose, use), unguarded)
        return VerdictWords("kept", "Kept zero-shot CLIP.", (), reason, commands)
    if verdict.strength == 1:
        return VerdictWords("unknown", "Adapted.", (), reason, advice=_ZERO_SHOT_LABELS)
    mixed = f"zero-shot CLIP and the adapted model are mixed (strength {verdict.strength:.2f})"
    unmixed = ("To use the candidate, which is the adapted model without mixing", use)
    sentence, commands = f"Adapted in part: {mixed}.", (unmixed, unguarded)
    return VerdictWords("unknown", sentence, (), reason, commands, _ZERO_SHOT_LABELS)


def verdict_label(verdict: Verdict | None) -> str:
    """Return a verdict for a table cell: `cannot tell`, `kept zero-shot` or `guard: none`."""
    return "guard: none" if verdict is None else verdict.outcome
