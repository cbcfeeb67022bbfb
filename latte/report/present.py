"""Which of the class names occur among a run's images, in one sentence."""

from __future__ import annotations

from latte.interfaces import PresentNames
from latte.report.numbers import count
from latte.report.plain import one_line

ALL_OCCUR = "Every class name has an image that supports it."
_SHOWN = 3


def present_sentence(present: PresentNames | None, classes: int) -> str | None:
    """`About 7 of 100 names occur (95 %: 5 to 11); no image supports: a, b, c and 90 more`.

    Returns None where all names are supported, and where nothing was estimated.
    """
    if present is None or not present.unsupported:
        return None
    names = present.unsupported
    shown = ", ".join(map(one_line, names[:_SHOWN]))
    more = f" and {count(len(names) - _SHOWN)} more" if len(names) > _SHOWN else ""
    return (
        f"About {count(present.expected)} of {count(classes)} names occur (95 %: "
        f"{count(present.low)} to {count(present.high)}); no image supports: {shown}{more}"
    )
