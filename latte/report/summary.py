"""Show the long statements about a run in the terminal, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from latte.interfaces import RunModel, RunResults
from latte.io.redaction import one_line
from latte.report.accuracy import score_rows
from latte.report.facts import peak_memory
from latte.report.numbers import PERCENT, duration
from latte.report.output import echo
from latte.report.statement import Statement
from latte.report.statements import details
from latte.report.terminal import paragraph, table

_HEADINGS = ("", "top-1 %", "95 % interval", "images", "gain (95 % interval)")
_ASCII = str.maketrans({"–": " to ", "“": '"', "”": '"'})


def summary_table(results: RunResults, run: str | None = None) -> str:
    """Return the long statements on a run, at most 80 columns wide, in ASCII except for names.

    Commands in the summary name the run folder by `run`; the default is the name of the folder.
    """
    return _joined(details(results, run))


def print_summary(results: RunResults, run: str) -> None:
    """Print the long statements on a run; a headline is in bold if stdout is a terminal."""
    stated = details(results, run)
    headlines = [statement for statement in stated if statement.kind == "headline"]
    if headlines:
        echo(_joined(headlines), bold=True)
    echo(_joined(stated[len(headlines) :]))


def model_lines(models: Sequence[RunModel]) -> list[str]:
    """Return the lines of the accuracy table of a run's models."""
    return _table(score_rows(models))


def statement_lines(statement: Statement) -> list[str]:
    """Return the lines of a statement; a command is not wrapped, so that it can be copied."""
    lines = paragraph(statement.text.translate(_ASCII)) if statement.text else []
    for purpose, command in statement.commands:
        lines += [*paragraph(f"{purpose}:".translate(_ASCII)), f"  {one_line(command)}"]
    return lines


def cost_line(results: RunResults, seconds: float) -> str:
    """Return a line with the `seconds` that a command took, and the run's peak memory if known."""
    time = f"time: {duration(seconds)}"
    if not results.record.peak_memory_mb:
        return time
    return f"{time}; peak memory: {peak_memory(results.record.peak_memory_mb)}"


def _joined(stated: Iterable[Statement]) -> str:
    lines = [line for statement in stated for line in _statement(statement)]
    return "\n".join(lines).removeprefix("\n")


def _statement(statement: Statement) -> list[str]:
    if not statement.scores:
        return statement_lines(statement)
    return ["", *_table(statement.scores), "", *statement_lines(statement)]


def _table(rows: Iterable[Mapping[str, str]]) -> list[str]:
    return table(_HEADINGS, map(_cells, rows))


def _cells(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return a row of the table; the heading has the unit of its first two numbers."""
    top1, interval = (row[column].removesuffix(PERCENT) for column in ("top1", "interval"))
    gain = f"{row['gain']} ({row['gain_interval']})" if row["gain"] else ""
    return row["name"], top1, interval.replace("–", " to "), row["images"], gain
