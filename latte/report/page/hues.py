"""Give the largest classes of a run a colour each, the same as on the page of the review."""

from __future__ import annotations

from collections.abc import Sequence

from latte.report.class_rows import ClassRow

_HUES = ("k7", "k1", "k2", "k3", "k6", "k5", "k4", "k0")
"""Class colours in the style sheet; the last is used only if there are eight classes."""


def hues(rows: Sequence[ClassRow]) -> dict[int, str]:
    """Return the style class of each class by its label; `rows` are sorted by size.

    Up to eight classes have colours in the order of the list of classes. Of more, the seven largest
    have one, and all others are grey.
    """
    labels = [row.label for row in rows]
    largest = sorted(labels) if len(rows) <= len(_HUES) else labels[: len(_HUES) - 1]
    colours = dict(zip(largest, _HUES, strict=False))
    return {label: colours.get(label, "kx") for label in labels}
