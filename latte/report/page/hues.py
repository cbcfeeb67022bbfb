"""Give the largest classes of a run a colour each."""

from __future__ import annotations

from collections.abc import Sequence

from latte.report.class_rows import ClassRow

_HUES = 8
"""Number of class colours in the style sheet, `k0` to `k7`."""


def hues(rows: Sequence[ClassRow]) -> dict[int, str]:
    """Return the style class of each class by its label; `rows` are sorted by size.

    With more than eight classes, the seven largest have a colour, and all others are grey.
    """
    coloured = _HUES if len(rows) <= _HUES else _HUES - 1
    first = _HUES - coloured
    return {
        row.label: f"k{first + rank}" if rank < coloured else "kx" for rank, row in enumerate(rows)
    }
