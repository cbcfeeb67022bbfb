"""A confusion matrix as a picture: a row for each true class, a column for each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from latte.report.numbers import percent, plural
from latte.report.svg import Drawing, shortened

Cells = Mapping[tuple[int, int], int]
"""Images by row and column."""

_MARGIN = 128
"""Room for names at the left and above."""
_LONGEST = 19
_FAINTEST = 0.15


def heat_map(cells: Cells, names: Sequence[str], label: str) -> Markup:
    """Shades are shares of a row, so that rare classes are as visible as frequent ones."""
    size = min(30, max(14, 420 // len(names)))
    side = _MARGIN + size * len(names)
    drawing = Drawing(side + 4, side + 4, label, "chart heat")
    for index, name in enumerate(names):
        middle = _MARGIN + size * (index + 0.5)
        drawing.text((_MARGIN - 6, middle + 4), shortened(name, _LONGEST), "tick", "end")
        drawing.text((middle + 4, _MARGIN - 6), shortened(name, _LONGEST), "tick", turned=True)
    drawing.bar((_MARGIN, _MARGIN), side - _MARGIN, side - _MARGIN, "frame")
    totals = _row_totals(cells)
    for (row, column), images in sorted(cells.items()):
        drawing.bar(
            (_MARGIN + size * column, _MARGIN + size * row),
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
