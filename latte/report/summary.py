"""Write the summary that a run prints: verdict, accuracies, headline and notes."""

from __future__ import annotations

from collections.abc import Sequence

from latte.interfaces import Evaluation, RunResults
from latte.io.redaction import one_line
from latte.report import sentences
from latte.report.evidence import read_evidence
from latte.report.facts import asked, peak_memory
from latte.report.numbers import bare_percent, count, duration, points_with_range
from latte.report.terminal import paragraph, table

_HEADINGS = ("", "top-1 %", "95 % interval", "images", "gain (95 % interval)")


def summary_table(results: RunResults, run: str | None = None) -> str:
    """Return the summary of a run, at most 80 columns wide, in ASCII except for names.

    The commands in the summary name `run` as the run folder; by default the folder's name only.
    """
    evidence = read_evidence(results.folder)
    lines: list[str] = []
    folder = run or results.folder.name
    words = sentences.verdict_words(results, folder, evidence)
    if words.tone != "none":
        lines += _verdict(words)
    if evidence is not None and not evidence.estimate.answered:
        lines += [line for text in evidence.lines for line in _ascii_paragraph(text)]
    lines += [""] if lines else []
    if results.evaluations:
        lines += [*evaluation_lines(results.evaluations), ""]
    measured = sentences.headline(results.evaluations, results.verdict, evidence)
    is_repeated = evidence is not None and evidence.estimate.answered and not results.evaluations
    absent = sentences.present_sentence(results.present, len(results.class_names))
    advice, *command = sentences.absent_advice(results, folder)
    asking = [f"{one_line(one.purpose)} {asked(one)}" for one in results.questions]
    notes = (
        None if is_repeated else measured.sentence,
        measured.control,
        sentences.own_note(results.evaluations),
        f"{absent}. {advice}" if absent else None,
        *(command if absent else ()),
        f"Questions about {', '.join(asking)}." if asking else None,
        sentences.answers_note(results),
        sentences.oracle_note(results.recipe),
    )
    return "\n".join([*lines, *(line for text in notes if text for line in _ascii_paragraph(text))])


def evaluation_lines(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the lines of the accuracy table, which has one row per classifier."""
    return table(_HEADINGS, map(_row, evaluations))


def cost_line(results: RunResults, seconds: float) -> str:
    """Return a line with the `seconds` that a command took, and the run's peak memory if known."""
    time = f"time: {duration(seconds)}"
    if not results.peak_memory_mb:
        return time
    return f"{time}; peak memory: {peak_memory(results.peak_memory_mb)}"


def _verdict(words: sentences.VerdictWords) -> list[str]:
    """Return the lines about gain and verdict; each command has its own line, to be copied."""
    found = filter(None, (words.sentence, *words.details, words.reason))
    lines = [line for text in found for line in _ascii_paragraph(text)]
    for purpose, command in words.commands:
        lines += [f"{purpose}:", f"  {one_line(command)}"]
    return lines + (_ascii_paragraph(words.advice) if words.advice else [])


def _row(evaluation: Evaluation) -> tuple[str, ...]:
    images, top1, gain = evaluation.images, evaluation.top1, evaluation.gain
    return (
        one_line(evaluation.name),
        bare_percent(top1.value, images),
        f"{bare_percent(top1.low, images)} to {bare_percent(top1.high, images)}",
        count(images),
        points_with_range(gain, images) if gain else "",
    )


def _ascii_paragraph(text: str) -> list[str]:
    return paragraph(text.replace("–", " to ").translate({ord(quote): '"' for quote in "“”"}))
