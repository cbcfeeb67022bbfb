"""A confusion matrix as a picture: a row for each true class, a column for each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from latte.report.numbers import percent, plural
from latte.report.svg import Drawing, shortened, text_width

Cells = Mapping[tuple[int, int], int]
"""Images by row and column."""

_LONGEST = 19
_FAINTEST = 0.15


def heat_map(cells: Cells, names: Sequence[str], label: str) -> Markup:
    """Shades are shares of a row, so that rare classes are as visible as frequent ones."""
    size = min(30, max(14, 420 // len(names)))
    texts = [shortened(name, _LONGEST) for name in names]
    margin = 14 + round(max(map(text_width, texts)))
    side = margin + size * len(names)
    drawing = Drawing(side + 4, side + 4, label, "chart heat")
    for index, text in enumerate(texts):
        middle = margin + size * (index + 0.5)
        drawing.text((margin - 6, middle + 4), text, "tick", "end")
        drawing.text((middle + 4, margin - 6), text, "tick", turned=True)
    drawing.bar((margin, margin), side - margin, side - margin, "frame")
    totals = _row_totals(cells)
    for (row, column), images in sorted(cells.items()):
        drawing.bar(
            (margin + size * column, margin + size * row),
            size - 1,
            size - 1,
            "right" if row == column else "wrong",
            opacity=_FAINTEST + (1 - _FAINTEST) * (images / totals[row]) ** 0.5,
            tip=_tip(names[row], names[column], images, totals[row]),
        )
    return drawing.markup()


def _row_totals(cells: Cells) -> dict[int, int]:
    totals: dict[int, int] = {}
    for (row, _), images in cells.items():
        totals[row] = totals.get(row, 0) + images
    return totals


def _tip(true: str, predicted: str, images: int, total: int) -> str:
    share = percent(images / total, total)
    return f"{true} → {predicted}: {images} of {plural(total, 'image')} ({share})"
