"""Show a comparison as LaTeX: a `tabular` per dataset, for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from latte.report.comparison.comparison import Comparison, dataset_titles, notes
from latte.report.comparison.output import cells, headings

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
    """Return LaTeX with a `tabular` per dataset, which needs no package, and notes as comments."""
    text = [LATEX_START, *_comments(notes(comparison))]
    for digest, title in dataset_titles(comparison.rows).items():
        lines = [heads := headings(comparison)]
        for name, details, numbers in cells(comparison, digest):
            first = f"  {name}" if details is None else name
            first += f" ({'; '.join(details)})" if details else ""
            lines.append([first, *numbers, *[""] * (len(heads) - 1 - len(numbers))])
        head, *rows = (" & ".join(map(escape, line)) + r" \\" for line in lines)
        columns = "l" + "r" * (len(heads) - 1)
        text += ["", *_comments([title]), rf"\begin{{tabular}}{{{columns}}}", r"\hline", head]
        text += [r"\hline", *rows, r"\hline", r"\end{tabular}"]
    return "\n".join(text) + "\n"


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
