"""Show a comparison as plain text, at most 80 columns wide, or as LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from latte.evaluate.statistics import Spread
from latte.interfaces import Interval
from latte.report.comparison.comparison import Comparison, dataset_titles, notes
from latte.report.comparison.rows import Result, Row
from latte.report.comparison.table import headings, table_lines
from latte.report.terminal import indented, paragraph
from latte.report.terminal import table as lines_of_table
from latte.review.sentences import Evidence


def table(comparison: Comparison) -> str:
    """Return a comparison as text: a table per dataset (without time and memory), and notes."""
    text: list[str] = []
    for digest, title in dataset_titles(comparison.rows).items():
        rows: list[list[RenderableType]] = []
        for line in table_lines(comparison, digest):
            first = indented(line.name)
            if line.kind == "adapted":
                first = Group(Text(line.name), *map(indented, line.details))
            rows.append([first, *line.numbers])
        text += [*([""] if text else []), *paragraph(title)]
        text += lines_of_table(headings(comparison), rows)
    for note in notes(comparison):
        text += ["", *paragraph(note)]
    return "\n".join(text)


LATEX_START = "% Written by `latte compare`."
"""First characters of each text that `as_latex` returns."""
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    **{one: f"\\{one}" for one in "&%$#_{}"},
    **{one: f"${one}$" for one in "<>|"},
    # At the start of a row, LaTeX would read these as arguments of the `\\` before it.
    **{one: f"{{{one}}}" for one in "[*"},
}
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPED)))
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def as_latex(comparison: Comparison) -> str:
    """Return LaTeX that needs no package: a `tabular` per dataset, and the notes as comments."""
    text = [LATEX_START, *(f"% {_one_line(note)}" for note in notes(comparison))]
    for digest, title in dataset_titles(comparison.rows).items():
        lines = [heads := headings(comparison)]
        for line in table_lines(comparison, digest):
            first = line.name if line.kind == "adapted" else f"  {line.name}"
            first += f" ({'; '.join(line.details)})" if line.details else ""
            lines.append([first, *line.numbers])
        head, *rows = (" & ".join(map(escape, line)) + r" \\" for line in lines)
        columns = "l" + "r" * (len(heads) - 1)
        text += ["", f"% {_one_line(title)}", rf"\begin{{tabular}}{{{columns}}}", r"\hline", head]
        text += [r"\hline", *rows, r"\hline", r"\end{tabular}"]
    return "\n".join(text) + "\n"


def escape(text: str) -> str:
    r"""Escape `text` for LaTeX; the minus sign of a number becomes `$-$`.

    Control characters become spaces.

    Example:
        >>> escape("top_1: -0.5 ± 0.1 %")
        'top\\_1: $-$0.5 $\\pm$ 0.1 \\%'
    """
    indent = r"\quad " if text.startswith("  ") else ""
    escaped = _SPECIAL.sub(lambda found: _ESCAPED[found[0]], _one_line(text))
    return indent + _MINUS.sub("$-$", escaped)


def _one_line(text: str) -> str:
    """Return `text` without control characters, and with single spaces between words."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


COLUMNS = (
    *("method", "settings", "dataset", "images", "data", "classifier", "runs", "seeds"),
    *("top1", "top1_deviation", "gain", "gain_low", "gain_high", "gain_over"),
    *("published_top1", "verdict", "seconds", "peak_memory_mb", "folders"),
)
"""Columns of the CSV. Accuracies, gains and deviations are fractions; a missing value is empty."""
CSV_START = ",".join(COLUMNS)
"""First characters of each CSV that `as_csv` returns."""
HTML_START = "<!doctype html>\n<!-- Written by `latte compare`. -->"
"""First characters of each page of a comparison; the page's template has them, too."""


def as_csv(comparison: Comparison) -> str:
    """Return the comparison as CSV with unrounded numbers, a line per row and classifier."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(line for row in comparison.rows for line in _csv_lines(row))
    return text.getvalue()


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON data: rows, notes and skipped folders."""
    published = comparison.published
    return {
        "rows": [_row(row, comparison.evidence) for row in comparison.rows],
        "published": {"source": published.source, "note": published.note} if published else None,
        "notes": notes(comparison),
        "skipped": [{"folder": one.where, "why": one.what} for one in comparison.skipped],
    }


def _csv_lines(row: Row) -> Iterator[dict[str, Any]]:
    shared = {
        "method": row.method,
        "settings": "; ".join(row.labels),
        "dataset": row.data.name,
        "images": row.data.images,
        "data": row.data.digest,
        "seeds": " ".join(map(str, row.seeds)),
    }
    own = {
        "published_top1": row.published,
        "verdict": row.verdict,
        "seconds": round(sum(row.seconds.values()), 3),
        "peak_memory_mb": row.peak_memory_mb,
        "folders": "; ".join(map(str, row.folders)),
    }
    if row.zero_shot:
        yield {**shared, "classifier": "zero-shot", **_accuracy(row.zero_shot)}
    yield {**shared, "classifier": "adapted", **_figures(row.adapted), **own}
    if row.own:
        images = {"images": row.own_images}
        yield {**shared, **images, "classifier": "adapted, own images", **_figures(row.own)}
    if row.candidate:
        yield {**shared, "classifier": "candidate", **_figures(row.candidate)}
    for name, result in row.controls.items():
        yield {**shared, "classifier": f"control {name}", **_figures(result)}


def _accuracy(top1: Spread) -> dict[str, Any]:
    return {"runs": top1.runs, "top1": top1.mean, "top1_deviation": top1.deviation}


def _figures(result: Result | None) -> dict[str, Any]:
    if result is None:
        return {}
    return {**_accuracy(result.top1), **_gain(result.gain), "gain_over": result.gain_over}


def _gain(found: Interval) -> dict[str, float]:
    return {"gain": found.value, "gain_low": found.low, "gain_high": found.high}


def _estimated(found: Evidence) -> dict[str, Any]:
    estimate = found.estimate
    return {"answered": estimate.answered, **_gain(estimate.gain)}


def _row(row: Row, evidence: Mapping[Path, Evidence]) -> dict[str, Any]:
    return {
        "method": row.method,
        "settings": list(row.labels),
        "dataset": {"name": row.data.name, "images": row.data.images, "digest": row.data.digest},
        "seeds": list(row.seeds),
        "zero_shot": _accuracy(row.zero_shot) if row.zero_shot else None,
        "adapted": _figures(row.adapted) or None,
        "own_images": {"images": row.own_images, **_figures(row.own)} if row.own else None,
        "verdict": row.verdict,
        "reviews": [
            {"folder": str(folder), **_estimated(found)}
            for folder in row.folders
            if (found := evidence.get(folder))
        ],
        "candidate": _figures(row.candidate) or None,
        "controls": {name: _figures(result) for name, result in row.controls.items()},
        "published_top1": row.published,
        "seconds": dict(row.seconds),
        "peak_memory_mb": row.peak_memory_mb,
        "folders": [str(folder) for folder in row.folders],
    }
