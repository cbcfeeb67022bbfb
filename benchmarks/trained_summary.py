"""Summarise the gains of recipes with and without the guard, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy
from latte_benchmarks.folder_cells import CELL

from benchmarks.folder_rows import Row
from benchmarks.folder_summary import ABOUT, LOSS_POINTS, Gain
from benchmarks.measuring import table

GAINS: tuple[Gain, ...] = ("unseen", "own")


def judged(recipe: str) -> str:
    """Return the method name in rows for the classifier of `recipe` after the guard's verdict."""
    return f"{recipe} + verdict"


def summary(rows: Sequence[Row], recipes: Sequence[str]) -> str:
    """Return each set's table of cells, and the gains and losses with and without the guard."""
    sections = [
        "# Recipes that train, on folders as people have them",
        "Gains over zero-shot in percentage points, means over draws: adapted → with the guard "
        "(mean score; outcomes).",
    ]
    for name in dict.fromkeys(row.set for row in rows):
        for gain in GAINS:
            set_rows = [row for row in rows if row.set == name]
            sections += [f"## {name}, {ABOUT[gain]}", cells_table(set_rows, recipes, gain)]
    for gain in GAINS:
        sections += [f"## All draws, {ABOUT[gain]}", totals(rows, recipes, gain)]
    return "\n\n".join(sections) + "\n"


def cells_table(rows: Sequence[Row], recipes: Sequence[str], gain: Gain) -> str:
    """Return a table with a row per cell and a column per recipe."""
    drawn = {row.cell for row in rows}
    lines = []
    for cell in (one for one in CELL if one in drawn):
        cell_rows = [row for row in rows if row.cell == cell]
        lines.append([cell, *(_pair(cell_rows, recipe, gain) for recipe in recipes)])
    return table(["cell", *recipes], lines)


def totals(rows: Sequence[Row], recipes: Sequence[str], gain: Gain) -> str:
    """Return, per recipe, mean, worst draw, and number of draws that lose more than a point."""
    lines = []
    for recipe in recipes:
        before, after = (
            [float(getattr(row, gain)) for row in rows if row.method == method]
            for method in (recipe, judged(recipe))
        )
        if before:
            shown = zip(_figures(before), _figures(after), strict=True)
            lines.append([recipe, str(len(before)), *(f"{one} → {two}" for one, two in shown)])
    losses = f"lose more than {LOSS_POINTS:.0f} point of accuracy"
    return table(["recipe", "draws", "mean", "worst", losses], lines)


def _figures(gains: Sequence[float]) -> Iterator[str]:
    yield f"{numpy.mean(gains):+.1f}"
    yield f"{min(gains):+.1f}"
    yield str(sum(gain < -LOSS_POINTS for gain in gains))


def _pair(rows: Sequence[Row], recipe: str, gain: Gain) -> str:
    gains = [getattr(row, gain) for row in rows if row.method == recipe]
    judged_rows = [row for row in rows if row.method == judged(recipe)]
    if not gains or not judged_rows:
        return "–"
    judged_gains = [getattr(row, gain) for row in judged_rows]
    return f"{numpy.mean(gains):+.1f} → {numpy.mean(judged_gains):+.1f} ({_outcomes(judged_rows)})"


def _outcomes(rows: Sequence[Row]) -> str:
    """Return the mean score, and the numbers of draws adapted, mixed and kept."""
    scores = [row.signals["score"] for row in rows if "score" in row.signals]
    strengths = [row.strength or 0.0 for row in rows]
    counts = {
        "adapted": sum(strength == 1 for strength in strengths),
        "mixed": sum(0 < strength < 1 for strength in strengths),
        "kept": sum(strength == 0 for strength in strengths),
    }
    shown = [
        name if len(rows) == 1 else f"{count} {name}" for name, count in counts.items() if count
    ]
    mean = f"{numpy.mean(scores):.2f}; " if scores else ""
    return f"{mean}{', '.join(shown)}"
