"""Say a run's outcome in short: one sentence of result, one of trust, and one next step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from latte.interfaces import Evaluation, Interval, RunResults
from latte.interfaces.answer_facts import AnswerFacts, LeftOutAnswers
from latte.report.accuracy import MeasuredModels, measured_models, stronger_control, tone_of
from latte.report.next_step import NextStep, next_step
from latte.report.numbers import (
    FEW,
    count,
    plural,
    right_labels,
    rounded_points,
    rounded_points_range,
    rounded_range,
    rounded_share,
)
from latte.report.statement import Statement, Tone
from latte.report.taught import taught_tone
from latte.report.verdict import HARDLY_KNOWN, hardly_known
from latte.results.estimate import Estimate
from latte.results.measured_gain import MeasuredGain
from latte.results.oracle import oracle_mark

Case = Literal["unknown", "doubted", "measured", "taught", "answered"]
"""Ground of the outcome: nothing, a doubt in the names, labelled images, answers that were left
out in turn, or answers about images that were drawn at random."""

NOT_KNOWN = "How many labels are right is not known yet."


@dataclass(frozen=True)
class Outcome:
    """The short forms of a run's statements.

    Attributes:
        headline: One clause, for the top of the page.
        lede: Sentences below the headline, without those of the headline.
        result: One sentence, for the terminal.
        trust: At most two sentences on how far the result can be trusted.
        tone: What is known about the gain.
    """

    case: Case
    headline: str
    lede: str
    result: str
    trust: str
    step: NextStep
    tone: Tone = "unknown"

    def statements(self) -> list[Statement]:
        """Return the outcome as the first statements of the list."""
        return [
            Statement("outcome", short=self.result, tone=self.tone),
            Statement("trust", short=self.trust),
            Statement("step", short=self.step.title, commands=(self.step.command,)),
        ]


def outcome_of(results: RunResults, evidence: MeasuredGain | None, run: str) -> Outcome:
    """Return the outcome of a run; commands name the run folder by `run`."""
    models, answers = measured_models(results.record), results.record.train.answers
    step = next_step(results, run, is_measured=bool(models.models))
    if models.zero_shot is not None and models.used is not None:
        outcome = _measured(results, models, models.zero_shot, models.used, step)
    elif evidence is not None and evidence.estimate.answered:
        outcome = _answered(evidence.estimate, step)
    elif answers is not None and answers.measured is not None:
        outcome = _taught(results, answers, answers.measured, step)
    elif hardly_known(results):
        outcome = _doubted(results, step)
    else:
        outcome = _unknown(results, step)
    return _marked(outcome, oracle_mark(results.record.recipe))


def _marked(outcome: Outcome, mark: str | None) -> Outcome:
    """Return the outcome with `mark`, which says that true labels were used, as what to trust."""
    if mark is None:
        return outcome
    return replace(outcome, lede=f"{mark} {outcome.lede}", trust=mark)


def photos(results: RunResults) -> str:
    """Return the numbers of photos and of classes with photos, as in `423 photos in 7 classes`.

    Photos of no class follow, as in `423 photos in 7 classes, 12 in none`.
    """
    images = results.record.data.training_images
    classes = sum(adapted > 0 for _, adapted in results.pseudo_label_counts)
    none = f", {count(results.none_images)} in none" if results.none_images else ""
    return f"{plural(images, 'photo')} in {plural(classes, 'class', 'classes')}{none}"


def _changed(results: RunResults) -> str:
    """Return what happened to the labels, as in `Adapted: 118 labels changed.`"""
    changed = results.none_images
    changed += sum(flow.images for flow in results.label_flows if flow.frozen != flow.adapted)
    labels = f"{plural(changed, 'label')} changed" if changed else "no label changed"
    used = results.record.judge.used
    if used == "zero-shot":
        return "Kept plain CLIP: no label changed."
    return f"{'Adapted in part' if used == 'mixed' else 'Adapted'}: {labels}."


def _unknown(results: RunResults, step: NextStep) -> Outcome:
    answers = results.record.train.answers
    taught = f"{plural(answers.answers, 'answer')} taught the model. " if answers else ""
    result = f"{taught}{_changed(results)}"
    lede = f"{result} {NOT_KNOWN}"
    return Outcome("unknown", f"{photos(results)}.", lede, result, NOT_KNOWN, step)


def _doubted(results: RunResults, step: NextStep) -> Outcome:
    names = results.record.evaluate.unsupported or ()
    trust = "A few answers help most."
    if names:
        marked = plural(len(names), "name fits", "names fit")
        trust += f" {marked} almost no photo: check the spelling."
    number = plural(results.record.data.training_images, "photo")
    lede = f"The labels of these {number} are about as good as guessing. {trust}"
    return Outcome("doubted", "CLIP hardly knows these names.", lede, HARDLY_KNOWN, trust, step)


def _measured(
    results: RunResults,
    models: MeasuredModels,
    zero_shot: Evaluation,
    used: Evaluation,
    step: NextStep,
) -> Outcome:
    share = right_labels(used.top1.value, used.images)
    measured = f"Measured on {plural(used.images, 'labelled photo')} that latte did not learn from."
    trust = " ".join(filter(None, (measured, _reservation(results, models, used))))
    if results.record.judge.used == "zero-shot":
        result = f"{share} are right: plain CLIP was kept."
        return Outcome("measured", f"{share} are right.", trust, result, trust, step)
    tone, gain = _tone(used), used.gain
    before = rounded_share(zero_shot.top1.value, zero_shot.images)
    if gain is None or tone == "same":
        result = f"{share} are right, {before} with plain CLIP: no measurable gain."
        headline = f"{share} are right: no measurable gain."
        return Outcome("measured", headline, trust, result, trust, step, tone)
    way = "up" if tone == "better" else "down"
    result = f"{share} are right, {way} from {before} with plain CLIP: {_gain(gain)}"
    headline = f"{share} are right, {way} from {before}."
    return Outcome("measured", headline, trust, result, trust, step, tone)


def _tone(evaluation: Evaluation) -> Tone:
    return "same" if evaluation.gain is None else tone_of(evaluation.gain)


def _gain(gain: Interval) -> str:
    return f"{rounded_points(gain.value)} points ({rounded_points_range(gain)})"


def _reservation(results: RunResults, models: MeasuredModels, used: Evaluation) -> str:
    """Return the most important reason to doubt a measured accuracy; empty without any."""
    copies = results.record.evaluate.near_copies
    if copies is not None and not copies.left_out:
        return f"{plural(copies.images, 'near-copy', 'near-copies')} may make it too high."
    rival = stronger_control(models, used, results.record.judge.verdict)
    return f"The control “{rival[0]}” did at least as well." if rival else ""


def _answered(estimate: Estimate, step: NextStep) -> Outcome:
    """Return the outcome of a run whose gain a person's answers about random images measure."""
    result, trust = answered_sentences(estimate)
    tone = _answered_tone(estimate)
    headline = {
        "better": f"Adapting helps by {rounded_points(estimate.gain.value)} points.",
        "worse": "Plain CLIP is better here.",
    }.get(tone, "Not decided yet.")
    lede = f"Probably {rounded_points_range(estimate.gain)} points. {trust}"
    return Outcome("answered", headline, lede, result, trust, step, tone)


def answered_sentences(estimate: Estimate) -> tuple[str, str]:
    """Return result and trust of answers about random images, of which at least one counts."""
    gain = _gain(estimate.gain)
    result = {
        "better": f"Adapting helps: {gain}.",
        "worse": f"Plain CLIP is better: {gain}.",
    }.get(_answered_tone(estimate), f"Not decided yet: {gain}.")
    right = rounded_range(estimate.adapted.low, estimate.adapted.high)
    answers = f"From {plural(estimate.series, 'answer')} about random photos."
    return result, f"Probably {right} of the adapted labels are right. {answers}"


def _answered_tone(estimate: Estimate) -> Tone:
    tones: dict[str | None, Tone] = {"adapted": "better", "zero-shot": "worse"}
    return tones.get(estimate.better, "unknown")


def _about(share: float, images: int) -> str:
    """Return how many photos have the right label, of those without an answer.

    A few answers are counted: `5 of 8 labels`.
    """
    if images < FEW:
        return right_labels(share, images)
    return f"About {rounded_share(share, images)} of unanswered photos"


def _taught(
    results: RunResults, answers: AnswerFacts, estimate: LeftOutAnswers, step: NextStep
) -> Outcome:
    """Return the outcome of a run that answers taught; they were also left out in turn."""
    shares, images = (estimate.zero_shot, estimate.adapted), estimate.answers
    zero_shot, adapted = (_about(share, images) for share in shares)
    before = rounded_share(estimate.zero_shot, images)
    gain = f"{rounded_points_range(estimate.gain)} points"
    source = f"from your {plural(estimate.answers, 'answer')}, left out in turn."
    trust = f"The gain is probably {gain}; {source}"
    tone = taught_tone(answers)
    if results.record.judge.used == "zero-shot":
        headline = f"{zero_shot} are right."
        result = f"{zero_shot} are right: plain CLIP was kept."
        return Outcome("taught", headline, f"Plain CLIP was kept. {trust}", result, trust, step)
    if tone == "unknown":
        headline = f"{adapted} are right, {before} before."
        result = f"{adapted} are right, {before} with plain CLIP: undecided."
        return Outcome("taught", headline, trust, result, trust, step)
    way = "up" if tone == "better" else "down"
    headline = f"{adapted} are right, {way} from {before}."
    result = f"{adapted} are right, {way} from {before} with plain CLIP."
    return Outcome("taught", headline, trust, result, trust, step, tone)
