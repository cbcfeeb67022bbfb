"""Write the summary that a run prints: verdict, accuracies, headline and notes."""

from __future__ import annotations

from collections.abc import Sequence

from latte.interfaces import Evaluation, RunResults
from latte.io.redaction import one_line
from latte.report import sentences
from latte.report.evidence import evidence_lines, read_evidence
from latte.report.facts import asked, peak_memory
from latte.report.numbers import bare_percent, count, duration, points_with_range
from latte.report.terminal import paragraph, table

_HEADINGS = ("", "top-1 %", "95 % interval", "images", "gain (95 % interval)")


def summary_table(results: RunResults, run: str | None = None) -> str:
    """Return the summary of a run, at most 80 columns wide, in ASCII except for names.

    Commands in the summary name the run folder by `run`; the default is the name of the folder.
    """
    evidence = read_evidence(results.folder)
    lines: list[str] = []
    folder = run or results.folder.name
    words = sentences.verdict_words(results, folder, evidence)
    is_stated = words.tone != "none"
    lines += _verdict(words) if is_stated else []
    lines += _paragraphs(*evidence_lines(evidence))
    lines += [""] if lines else []
    if results.evaluations:
        lines += [*evaluation_lines(results.evaluations), ""]
    measured = sentences.headline(results.evaluations, results.record.train.verdict, evidence)
    is_repeated = evidence is not None and evidence.estimate.answered and not results.evaluations
    present = sentences.known_present(results)
    absent = sentences.present_sentence(present, len(results.record.data.class_names))
    advice, *commands = sentences.absent_advice(results, folder)
    asking = [f"{one_line(one.purpose)} {asked(one)}" for one in results.record.train.questions]
    lines += _paragraphs(
        None if is_repeated else measured.sentence,
        measured.control,
        sentences.own_note(results.evaluations),
    )
    lines += [] if is_stated else _commands(words)
    lines += _paragraphs(f"{absent}. {advice}" if absent else None)
    lines += map(one_line, commands if absent else ())  # not wrapped, to be copied
    failed, *again = sentences.failed_advice(results, folder) or (None,)
    lines += _paragraphs(failed)
    lines += map(one_line, again)
    lines += _paragraphs(
        f"Questions about {', '.join(asking)}." if asking else None,
        sentences.answers_note(results),
        sentences.oracle_note(results.record.recipe),
    )
    return "\n".join(lines)


def evaluation_lines(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the lines of the accuracy table, which has one row per classifier."""
    return table(_HEADINGS, map(_row, evaluations))


def cost_line(results: RunResults, seconds: float) -> str:
    """Return a line with the `seconds` that a command took, and the run's peak memory if known."""
    time = f"time: {duration(seconds)}"
    if not results.record.peak_memory_mb:
        return time
    return f"{time}; peak memory: {peak_memory(results.record.peak_memory_mb)}"


def _verdict(words: sentences.VerdictWords) -> list[str]:
    stated = _paragraphs(words.sentence, *words.details, words.reason)
    return [*stated, *_commands(words), *_paragraphs(words.advice)]


def _commands(words: sentences.VerdictWords) -> list[str]:
    """Return two lines per command; the command itself is not wrapped, to be copied."""
    return [
        line
        for purpose, command in words.commands
        for line in (f"{purpose}:", f"  {one_line(command)}")
    ]


def _row(evaluation: Evaluation) -> tuple[str, ...]:
    images, top1, gain = evaluation.images, evaluation.top1, evaluation.gain
    return (
        one_line(evaluation.name),
        bare_percent(top1.value, images),
        f"{bare_percent(top1.low, images)} to {bare_percent(top1.high, images)}",
        count(images),
        points_with_range(gain, images) if gain else "",
    )


def _paragraphs(*texts: str | None) -> list[str]:
    found = (text.replace("–", " to ") for text in texts if text)
    quotes = {ord(quote): '"' for quote in "“”"}
    return [line for text in found for line in paragraph(text.translate(quotes))]
