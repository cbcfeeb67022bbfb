"""State a guard's verdict on a run, and the gain that a person's answers measure.

A guard's *verdict* says what a run uses (the adapted model, zero-shot CLIP or a mix of both),
and why.
"""

from __future__ import annotations

import shlex
from dataclasses import replace

from latte.interfaces import RunResults, Verdict
from latte.interfaces.answer_facts import AnswerFacts
from latte.report.statement import Command, Statement, Tone
from latte.report.taught import taught_sentence, taught_tone
from latte.results.folder import RunFolder
from latte.results.measured_gain import MeasuredGain
from latte.results.run import Run
from latte.results.run_answers import waiting_answers
from latte.results.taught_runs import person_files

NO_GUARD = "No verdict: this recipe has no guard that could keep zero-shot CLIP."

_NOT_KNOWN = "Whether adapting helps is not known: features alone cannot tell."
MANY_ANSWERS = 6
"""With so many answers, the labels are no longer those of CLIP alone."""
HARDLY_KNOWN = "CLIP hardly knows these names here: the labels are about as good as guessing."
_ZERO_SHOT_LABELS = "The labels by zero-shot CLIP are in pseudo_labels.csv, column zero_shot."


def hardly_known(results: RunResults) -> bool:
    """Return True if the guard says that CLIP hardly knows the class names.

    It is False if a person has given `MANY_ANSWERS` labels.
    """
    verdict = results.record.judge.verdict
    is_doubted = verdict is not None and verdict.names_known is False
    return is_doubted and _answers(results) < MANY_ANSWERS


def name_statements(results: RunResults, run: str) -> list[Statement]:
    """Return the headline that CLIP hardly knows the class names; empty if that is not known.

    The run has no labelled images.
    """
    if not hardly_known(results):
        return []
    command = Command("A few answers help most", f"latte review {shlex.quote(run)}")
    return [Statement("headline", HARDLY_KNOWN, (command,))]


def _answers(results: RunResults) -> int:
    """Return the number of answers that taught the run, and of those that may teach the next."""
    taught = results.record.train.answers
    waiting = waiting_answers(Run(RunFolder(results.folder)))
    return waiting + (taught.answers if taught else 0)


def verdict_statements(
    results: RunResults,
    run: str,
    evidence: MeasuredGain | None,
    *,
    is_measured: bool,
    is_doubted: bool = False,
) -> list[Statement]:
    """Return statements on the guard's verdict, and on the gain that `evidence` measures.

    Commands name the run folder `run`. Without answers and without labelled images (`is_measured`),
    the statements say that it is not known if adapting helps, unless a headline above them doubts
    the labels (`is_doubted`).
    """
    verdict, answers = results.record.judge.verdict, results.record.train.answers
    if evidence is not None and evidence.estimate.answered:
        return _answered(results, run, evidence)
    not_counted = [Statement("note", line) for line in evidence.lines] if evidence else []
    if answers is not None and answers.measured is not None:
        return [*_taught(results, run, answers), *not_counted]
    if answers is not None:
        not_counted = [Statement("note", taught_sentence(answers)), *not_counted]
    if verdict is None:
        return not_counted
    is_known = is_measured or is_doubted or bool(person_files(results.record.recipe))
    doubt = "" if is_known else f" {_NOT_KNOWN}"
    return [
        Statement("verdict", f"{_used_model(verdict)}{doubt}"),
        Statement("note", _reason(verdict), _commands(results, verdict, run)),
        *([Statement("note", _ZERO_SHOT_LABELS)] if verdict.adapt else []),
        *not_counted,
    ]


def _taught(results: RunResults, run: str, answers: AnswerFacts) -> list[Statement]:
    """Return the gain that left-out answers measure; it decides which model the run uses."""
    verdict, sentence = results.record.judge.verdict, taught_sentence(answers)
    text = sentence if verdict is None else f"{_used_model(verdict)} {sentence}"
    commands = () if verdict is None else _commands(results, verdict, run)
    stated = [Statement("verdict", text, commands, tone=taught_tone(answers))]
    adapts = verdict is None or verdict.adapt
    return stated + ([Statement("note", _ZERO_SHOT_LABELS)] if adapts else [])


def _answered(results: RunResults, run: str, evidence: MeasuredGain) -> list[Statement]:
    """Return the gain that a person's answers measure, and the guard's verdict below it."""
    verdict, better = results.record.judge.verdict, evidence.estimate.better
    answers = results.record.train.answers
    sentence, *details = evidence.lines
    tones: dict[str | None, Tone] = {"adapted": "better", "zero-shot": "worse"}
    stated = [
        Statement("verdict", sentence, tone=tones.get(better, "unknown")),
        *(Statement("note", detail) for detail in details),
        *([Statement("note", taught_sentence(answers))] if answers else []),
    ]
    if verdict is None:
        return stated + ([Statement("note", _ZERO_SHOT_LABELS)] if better == "zero-shot" else [])
    stated[0] = replace(stated[0], text=f"{_used_model(verdict)} {sentence}")
    source = "left-out answers" if answers and answers.measured else "the images alone"
    reason = f"The guard's verdict, from {source}: {verdict.outcome}. {_reason(verdict)}"
    stated.append(Statement("note", reason, _commands(results, verdict, run)))
    if verdict.adapt and better != "adapted":
        stated.append(Statement("note", _ZERO_SHOT_LABELS))
    return stated


def _used_model(verdict: Verdict) -> str:
    """Return a sentence on the model that the run uses."""
    if not verdict.adapt:
        return "Kept zero-shot CLIP."
    if verdict.strength == 1:
        return "Adapted."
    mixed = f"zero-shot CLIP and the adapted model are mixed (strength {verdict.strength:.2f})"
    return f"Adapted in part: {mixed}."


def _reason(verdict: Verdict) -> str:
    reason = verdict.reason.strip()
    return reason[:1].upper() + reason[1:] + "."


def _commands(results: RunResults, verdict: Verdict, run: str) -> tuple[Command, ...]:
    """Return commands that use the adapted model; none if the run uses it in full."""
    if verdict.strength == 1:
        return ()
    unmixed = (
        "To use the adapted model without mixing"
        if verdict.adapt
        else "To use the adapted model, which the guard did not accept"
    )
    unguarded = Run(RunFolder(results.folder)).repeat_command("--set", "guard=null", name=run)
    return (
        Command(unmixed, f"latte predict {shlex.quote(run)} IMAGES --use adapted"),
        Command("To adapt without the guard", unguarded),
    )
