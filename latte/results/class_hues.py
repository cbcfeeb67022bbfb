"""Give the largest classes a colour each, the same on the page of the review and in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

HUES = ("k7", "k1", "k2", "k3", "k6", "k5", "k4", "k0")
"""Class colours in the style sheets; the last is used only if there are eight classes."""
_GREY = "kx"


def class_hues(labels: Sequence[int], before: Mapping[int, str] | None = None) -> Mapping[int, str]:
    """Return the colour of each class; `labels` has the largest class first.

    Up to eight classes have colours in the order of the list of classes. Of more, the seven largest
    have one, and all others are grey. A class keeps the colour that it had `before` as long as it
    is among the largest.
    """
    largest = sorted(labels) if len(labels) <= len(HUES) else labels[: len(HUES) - 1]
    kept = {label: hue for label, hue in (before or {}).items() if label in largest and hue in HUES}
    free = iter([hue for hue in HUES if hue not in kept.values()])
    hues = {label: kept.get(label) or next(free) for label in largest}
    return {label: hues.get(label, _GREY) for label in labels}
