"""Show a comparison as LaTeX: a `tabular` per dataset, for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from latte.report.comparison.comparison import Comparison, dataset_titles, notes
from latte.report.comparison.output import accuracy_cells, headings
from latte.report.comparison.rows import Row
from latte.report.numbers import mean_percent, published_percent

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
    """Return LaTeX with a `tabular` per dataset; it needs no package.

    Numbers are those of the table in the terminal, in percent and points. The notes are comments.
    """
    text = [LATEX_START, *_comments(notes(comparison))]
    for digest, title in dataset_titles(comparison.rows).items():
        cells = [
            line
            for row, name in comparison.titled(digest)
            for line in _lines(row, name, comparison)
        ]
        text += ["", *_comments([title]), *_tabular(headings(comparison), cells)]
    return "\n".join(text) + "\n"


def _tabular(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    columns = "l" + "r" * (len(headings) - 1)
    head, *rows = (" & ".join(map(escape, line)) + r" \\" for line in (headings, *cells))
    begin, end, line = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}", r"\hline"
    return [begin, line, head, line, *rows, line, end]


def _lines(row: Row, title: str, comparison: Comparison) -> Iterator[list[str]]:
    """Yield a line for the row's adapted model, one for its candidate, and one per control."""
    details = comparison.details(row)
    name = f"{title} ({'; '.join(details)})" if details else title
    published = [published_percent(row.published)] if comparison.published else []
    baseline = mean_percent(row.baseline, row.data.images)
    yield [name, str(len(row.seeds)), baseline, *accuracy_cells(row.adapted, row), *published]
    for other, result in row.others.items():
        empty = [""] * len(published)
        yield [f"  {other}", str(result.top1.runs), "", *accuracy_cells(result, row), *empty]


def escape(text: str) -> str:
    r"""Return `text` for LaTeX, with `$-$` for the minus sign of a number.

    Control characters become spaces.

    Example:
        >>> escape("top_1: -0.5 ± 0.1 %")
        'top\\_1: $-$0.5 $\\pm$ 0.1 \\%'
    """
    indent = r"\quad " if text.startswith("  ") else ""
    escaped = _SPECIAL.sub(lambda found: _ESCAPED[found[0]], _one_line(text))
    return indent + _MINUS.sub("$-$", escaped)


def _comments(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield f"% {_one_line(text)}"


def _one_line(text: str) -> str:
    """Return `text` without control characters, and with single spaces between words."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
