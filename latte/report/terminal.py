"""The numbers of a run as plain text that fits a terminal of 80 columns."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

from latte.interfaces import Evaluation, RunResults
from latte.report.facts import peak_memory
from latte.report.guard import guard_note
from latte.report.headline import headline, own_note
from latte.report.numbers import (
    MINUS,
    NARROW_SPACE,
    bare_percent,
    duration,
    points,
    points_range,
)
from latte.report.oracle import oracle_note
from latte.report.plain import one_line

WIDTH = 80
_GAP = "  "
_HEADER = ("", "top-1 %", "95 % interval", "images", "gain (95 % interval)")


def summary_table(results: RunResults) -> str:
    """The verdict on a run and its accuracies; at most 80 columns, ASCII but for names."""
    return "\n".join(summary_lines(results))


def summary_lines(results: RunResults) -> list[str]:
    """`summary_table` line by line."""
    verdict = headline(results.evaluations)
    lines = [*evaluation_lines(results.evaluations), ""] if results.evaluations else []
    notes = (guard_note(results.verdict), oracle_note(results.recipe))
    for text in (verdict.sentence, verdict.control, own_note(results.evaluations), *notes):
        if text:
            lines += textwrap.wrap(_plain(text), WIDTH)
    return lines


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
