"""The table of a comparison on the terminal, as CSV, and as LaTeX for a paper."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latte.api.output import bare_percent, one_line, paragraph, points, points_with_range, table
from latte_benchmarks.comparison import Comparison, notes
from latte_benchmarks.rows import ResultRow, mean_seconds
from latte_benchmarks.statistics import Spread

ABSENT = "–"
"""Text in place of a missing number."""

CellText = Callable[[ResultRow], str]


def mean_percent(spread: Spread | None, images: int) -> str:
    """Return the mean and standard deviation over seeds in percent, such as `72.2 ± 0.4`."""
    if spread is None:
        return ABSENT
    deviation = f" ± {bare_percent(spread.deviation, images)}" if spread.deviation else ""
    return bare_percent(spread.mean, images) + deviation


def published_percent(fraction: float | None) -> str:
    """Return a fraction in percent with two decimals, as papers do: 0.7012 as `70.12`."""
    return ABSENT if fraction is None else f"{100 * fraction:.2f}"


def _zero_shot(row: ResultRow) -> str:
    return mean_percent(row.zero_shot, row.images) if row.is_adapted else ""


def _top1(row: ResultRow) -> str:
    return mean_percent(row.result.top1, row.images) if row.result else ABSENT


def _gain(row: ResultRow) -> str:
    return points_with_range(row.result.gain, row.images) if row.result else ABSENT


def _published(row: ResultRow) -> str:
    return published_percent(row.published) if row.is_adapted else ""


def _ours(row: ResultRow) -> str:
    """Return the mean top-1 as papers print it, with half the width of its 95 % interval."""
    if row.result is None:
        return ABSENT
    reach = row.result.top1.reach
    half_width = "" if reach is None else f" ± {100 * reach:.2f}"
    return published_percent(row.result.top1.mean) + half_width


def _difference(row: ResultRow) -> str:
    return "" if row.difference is None else f"{100 * row.difference:+.2f}"


def _tolerance(row: ResultRow) -> str:
    if row.tolerance is None or row.difference is None:
        return ""
    return f"{100 * row.tolerance:.1f}"


COMPARED: Mapping[str, CellText] = {
    "seeds": lambda row: str(row.result.top1.runs if row.result else len(row.runs)),
    "zero-shot": _zero_shot,
    "adapted": _top1,
    "gain (95 % interval)": _gain,
}
"""The columns of `latte compare`, by heading."""
REPRODUCED: Mapping[str, CellText] = {
    "ours": _ours,
    "published": _published,
    "difference": _difference,
    "tolerance": _tolerance,
}
"""The columns of `latte reproduce`, by heading."""
JUDGED: Mapping[str, CellText] = {**REPRODUCED, "": lambda row: row.agreement}


def compared_columns(comparison: Comparison) -> Mapping[str, CellText]:
    """Return the columns of `latte compare`, with published numbers if there are some."""
    return {**COMPARED, "published": _published} if comparison.published else COMPARED


def cells(row: ResultRow, columns: Mapping[str, CellText]) -> list[str]:
    """Return the texts of a row: the row's model or method, then a text per column."""
    method = one_line(row.method) if row.is_adapted else f"  {one_line(row.model)}"
    return [method, *(column(row) for column in columns.values())]


def as_text(comparison: Comparison, columns: Mapping[str, CellText]) -> list[str]:
    """Return the lines of a table per dataset, at most 80 columns wide, and one of averages."""
    lines: list[str] = []
    averages = {"average over these datasets": comparison.averages} if comparison.averages else {}
    for title, rows in {**comparison.sections, **averages}.items():
        shown: list[list[str]] = []
        for row in rows:
            shown.append(cells(row, columns))
            shown += [[f"  {one_line(setting)}"] for setting in row.shown if row.is_adapted]
        lines += [*([""] if lines else []), *paragraph(title)]
        lines += table(["method", *columns], shown)
    return lines


COLUMNS = (
    *("method", "settings", "dataset", "images", "data", "model", "runs", "seeds", "zero_shot"),
    *("top1", "top1_deviation", "gain", "gain_low", "gain_high", "published_top1"),
    *("verdict", "seconds", "peak_memory_mb", "folders"),
)
"""Columns of the CSV. Accuracies, gains and deviations are fractions; a missing value is empty."""
CSV_START = ",".join(COLUMNS)
"""First characters of each CSV that `as_csv` returns."""


def as_csv(comparison: Comparison) -> str:
    """Return the rows of the comparison as CSV, with unrounded numbers and all settings."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_csv_line, comparison.rows))
    return text.getvalue()


def _csv_line(row: ResultRow) -> dict[str, Any]:
    line: dict[str, Any] = {
        "method": row.method,
        "settings": "; ".join(row.settings),
        "dataset": row.dataset.name,
        "images": row.images,
        "data": row.dataset.digest,
        "model": row.model,
        "seeds": " ".join(map(str, row.seeds)),
    }
    if row.result:
        top1, gain = row.result.top1, row.result.gain
        line |= {"runs": top1.runs, "top1": top1.mean, "top1_deviation": top1.deviation}
        line |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    if row.is_adapted:
        memory = [run.peak_memory_mb for run in row.runs if run.peak_memory_mb is not None]
        line |= {
            "zero_shot": row.zero_shot.mean if row.zero_shot else None,
            "published_top1": row.published,
            "verdict": "; ".join(dict.fromkeys(run.outcome for run in row.runs if run.outcome)),
            "seconds": round(mean_seconds(row), 3),
            "peak_memory_mb": max(memory, default=None),
            "folders": "; ".join(str(run.folder) for run in row.runs),
        }
    return line


@dataclass(frozen=True)
class AccuracyCell:
    """The accuracy of a method on a dataset, in the table of methods by datasets."""

    top1: str
    gain: str
    published: str
    is_best: bool


@dataclass(frozen=True)
class Overview:
    """Methods by datasets: the names of the datasets, and a cell or None per method and dataset."""

    datasets: tuple[str, ...]
    methods: Mapping[str, tuple[AccuracyCell | None, ...]]
    zero_shot: tuple[str, ...]
    """Zero-shot accuracy per dataset, `ABSENT` if it is not the same for all methods."""


def overview(comparison: Comparison) -> Overview:
    """Return the accuracies of the adapted models by method and dataset, with averages last."""
    rows = [row for row in (*comparison.adapted, *comparison.averages) if row.result]
    datasets = [*dict.fromkeys(row.dataset for row in rows)]
    columns = [[row for row in rows if row.dataset == dataset] for dataset in datasets]
    cells_of_columns = [
        {row.name: _cell(row, column) for row in column if row.result} for column in columns
    ]
    names = [dataset.name for dataset in datasets]
    baselines = [{_zero_shot(row) for row in column} for column in columns]
    return Overview(
        tuple(
            one_line(f"{name} ({dataset.digest[:6]})" if names.count(name) > 1 else name)
            for name, dataset in zip(names, datasets, strict=True)
        ),
        {
            method: tuple(column.get(method) for column in cells_of_columns)
            for method in dict.fromkeys(row.name for row in rows)
        },
        tuple(values.pop() if len(values) == 1 else ABSENT for values in baselines),
    )


def _cell(row: ResultRow, column: Sequence[ResultRow]) -> AccuracyCell | None:
    """Return the cell of a row among all rows of the same dataset; None without labels."""
    if row.result is None:
        return None
    best = max(rival.result.top1.mean for rival in column if rival.result)
    gain = points(row.result.gain.value, row.images)
    return AccuracyCell(_top1(row), gain, _published(row), row.result.top1.mean >= best)


LATEX_START = "% Written by `latte compare`."
"""First characters of each text that `as_latex` returns."""
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{char: f"${char}$" for char in "<>|"},
    # At the start of a row, LaTeX would read these as arguments of the `\\` before it.
    **{char: f"{{{char}}}" for char in "[*"},
}
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPED)))


def as_latex(comparison: Comparison) -> str:
    """Return a LaTeX table of methods by datasets, which needs the package booktabs.

    The highest accuracy of a dataset is bold. The notes of the comparison are comments.
    """
    shown = overview(comparison)
    lines = [LATEX_START, r"% It needs \usepackage{booktabs}. Top-1 in percent."]
    lines += (f"% {_comment(note)}" for note in notes(comparison))
    lines += [rf"\begin{{tabular}}{{l{'r' * len(shown.datasets)}}}", r"\toprule"]
    lines += [_latex_row(["method", *map(escape, shown.datasets)]), r"\midrule"]
    lines += map(_latex_row, _latex_cells(shown))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_cells(shown: Overview) -> Iterator[list[str]]:
    if "zero-shot" not in shown.methods:
        yield ["zero-shot", *map(escape, shown.zero_shot)]
    for method, method_cells in shown.methods.items():
        yield [escape(_without_paths(method)), *map(_latex_cell, method_cells)]
        published = [cell.published if cell else ABSENT for cell in method_cells]
        if {*published} != {ABSENT}:
            yield [r"\quad published", *map(escape, published)]


def _latex_row(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _latex_cell(cell: AccuracyCell | None) -> str:
    text = escape(ABSENT if cell is None else cell.top1)
    return rf"\textbf{{{text}}}" if cell and cell.is_best else text


def _without_paths(name: str) -> str:
    """Return a row's name with only the last part of each path among its settings."""
    return re.sub(r"=[^ ]*/(?=[^ ])", "=", name)


def escape(text: str) -> str:
    r"""Escape `text` for LaTeX; control characters become spaces.

    Example:
        >>> escape("top_1: 0.5 ± 0.1 %")
        'top\\_1: 0.5 $\\pm$ 0.1 \\%'
    """
    return _SPECIAL.sub(lambda special: _ESCAPED[special[0]], _comment(text))


def _comment(text: str) -> str:
    """Return `text` without control characters, and with single spaces between words."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
