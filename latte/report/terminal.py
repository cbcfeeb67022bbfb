"""The numbers of a run as plain text that fits a terminal of 80 columns."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

from latte.interfaces import Evaluation, RunResults
from latte.io.redaction import one_line
from latte.report.facts import peak_memory
from latte.report.numbers import (
    MINUS,
    NARROW_SPACE,
    bare_percent,
    duration,
    points,
    points_range,
)
from latte.report.sentences import headline, oracle_note, own_note, present_sentence, verdict_words

WIDTH = 80
_GAP = "  "
_HEADER = ("", "top-1 %", "95 % interval", "images", "gain (95 % interval)")


def summary_table(results: RunResults, run: str | None = None) -> str:
    """The verdict on a run and its accuracies; at most 80 columns, ASCII but for names.

    Commands name the run folder as `run`, or by its name alone.
    """
    return "\n".join(summary_lines(results, run))


def summary_lines(results: RunResults, run: str | None = None) -> list[str]:
    """`summary_table` line by line."""
    lines = _verdict_lines(results, run or results.folder.name)
    if results.evaluations:
        lines += [*evaluation_lines(results.evaluations), ""]
    measured = headline(results.evaluations)
    notes = (
        measured.sentence,
        measured.control,
        own_note(results.evaluations),
        present_sentence(results.present, len(results.class_names)),
        oracle_note(results.recipe),
    )
    return lines + [line for text in notes if text for line in _wrapped(text)]


def _verdict_lines(results: RunResults, run: str) -> list[str]:
    """Nothing without a guard: most recipes have none."""
    if results.verdict is None:
        return []
    words = verdict_words(results, run)
    return [*(line for text in words.lines for line in _wrapped(text)), ""]


def _wrapped(text: str) -> list[str]:
    """Commands and paths stay whole where a line can hold them."""
    return textwrap.wrap(_plain(text), WIDTH, break_on_hyphens=False)


def cost_line(results: RunResults) -> str:
    """Time and memory of the run, as far as they are known; empty where neither is."""
    parts = [f"time: {duration(sum(results.seconds.values()))}"] if results.seconds else []
    if results.peak_memory_mb:
        parts.append(f"peak memory: {_plain(peak_memory(results.peak_memory_mb))}")
    return "; ".join(parts)


def evaluation_lines(evaluations: Sequence[Evaluation]) -> list[str]:
    """A table of accuracies, one line for each classifier, below a heading."""
    rows = [_HEADER, *(_row(evaluation) for evaluation in evaluations)]
    widths = [max(len(row[column]) for row in rows) for column in range(1, len(_HEADER))]
    name_width = WIDTH - sum(width + len(_GAP) for width in widths)
    names = [_shortened(row[0], name_width) for row in rows]
    widest = max(map(_columns, names))
    return [_line(name, widest, row[1:], widths) for name, row in zip(names, rows, strict=True)]


def _row(evaluation: Evaluation) -> tuple[str, ...]:
    images, top1, gain = evaluation.images, evaluation.top1, evaluation.gain
    return (
        one_line(evaluation.name),
        bare_percent(top1.value, images),
        f"{bare_percent(top1.low, images)} to {bare_percent(top1.high, images)}",
        str(images),
        _plain(f"{points(gain.value, images)} ({points_range(gain, images)})") if gain else "",
    )


def _line(name: str, name_width: int, cells: Sequence[str], widths: Sequence[int]) -> str:
    first = name + " " * (name_width - _columns(name))
    rest = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return _GAP.join([first, *rest]).rstrip()


def _plain(text: str) -> str:
    replacements = {MINUS: "-", NARROW_SPACE: " ", "–": " to ", "“": '"', "”": '"'}
    return "".join(replacements.get(character, character) for character in text)


def _columns(text: str) -> int:
    """Terminal columns: wide East Asian characters and emoji take two, combining marks none."""
    return sum(_character_columns(character) for character in text)


def _character_columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _shortened(name: str, width: int) -> str:
    if _columns(name) <= width:
        return name
    kept = ""
    for character in name:
        if _columns(kept + character) > width - 3:
            break
        kept += character
    return kept + "..."
