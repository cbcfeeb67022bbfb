"""State what answers that taught a run bring, estimated by leaving answers out in turn."""

from __future__ import annotations

from latte.interfaces.answer_facts import AnswerFacts, LeftOutAnswers, SureLabels
from latte.report.numbers import percent, plural, points, points_range
from latte.report.statement import Tone

_ABOUT = "The estimate is about images without an answer."


def taught_sentence(facts: AnswerFacts) -> str:
    """Return a sentence on the answers that taught a run, and on the gain that they measure.

    Example: `100 answers taught the model: it is better than zero-shot CLIP by +67.0 points (95 %:
    +57.2 to +74.9; accuracy 24 to 91 %), estimated by leaving answers out in turn (5 folds). The
    estimate is about images without an answer.`
    """
    answers, estimate = f"{_answers(facts)} taught the model", facts.measured
    if estimate is None:
        return f"{answers}; its gain is not measured."
    images = estimate.answers
    change = {
        "better": "it is better than zero-shot CLIP by",
        "worse": "zero-shot CLIP is better; the model changes accuracy by",
    }.get(taught_tone(facts), "not decided; it changes the accuracy of zero-shot CLIP by")
    zero_shot, adapted = (
        percent(share, images) for share in (estimate.zero_shot, estimate.adapted)
    )
    interval = points_range(estimate.gain, images)
    gain = f"{points(estimate.gain.value, images)} points (95 %: {interval}"
    doubtful = len(estimate.doubtful)
    contradictions = (
        f" {plural(doubtful, 'answer')} contradict{'s' if doubtful == 1 else ''} all others; "
        "`latte review` shows such images again."
        if doubtful
        else ""
    )
    left_out = "answers" if images == facts.answers else _answers(estimate)
    return (
        f"{answers}: {change} {gain}; accuracy {zero_shot} before, {adapted} after), estimated by "
        f"leaving {left_out} out in turn ({estimate.folds} folds). {_ABOUT}{contradictions}"
    )


def _answers(facts: AnswerFacts | LeftOutAnswers) -> str:
    """Return the number of answers, with that of their series if several are about one series.

    Example: `43 answers about 31 series`.
    """
    answers = plural(facts.answers, "answer")
    shares_series = facts.series is not None and facts.series < facts.answers
    return f"{answers} about {facts.series:,} series" if shares_series else answers


def sure_sentence(sure: SureLabels) -> str:
    """Return a sentence on how many confident labels of own images are right.

    Example: `Of the 312 labels with a confidence above 0.7, about 84 % are right (21 of 25 answers
    that were left out).`
    """
    share, labels = percent(sure.right / sure.answers, sure.answers), plural(sure.labels, "label")
    return (
        f"Of the {labels} with a confidence above {sure.above}, about {share} "
        f"are right ({sure.right:,} of {sure.answers:,} answers that were left out)."
    )


def taught_tone(facts: AnswerFacts) -> Tone:
    """Return what the left-out answers say about the gain."""
    if facts.measured is None:
        return "unknown"
    if facts.measured.gain.low > 0:
        return "better"
    return "worse" if facts.measured.gain.high < 0 else "unknown"
