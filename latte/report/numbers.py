"""Numbers as people read them, and never more digits than the sample size supports."""

from __future__ import annotations

from latte.interfaces import Interval

NARROW_SPACE = "\u202f"
"""Narrow no-break space: between groups of digits, and before a unit."""
MINUS = "\u2212"

_COARSEST_FOR_DECIMALS = 100
"""Up to so many images, one image more or less moves a percentage by a whole point."""


def count(number: int) -> str:
    """12345 -> `12 345`."""
    return f"{number:,}".replace(",", NARROW_SPACE)


def signed_count(number: int) -> str:
    """3 -> `+3`; a difference of two counts, without a sign where there is none."""
    sign = "+" if number > 0 else MINUS if number < 0 else ""
    return sign + count(abs(number))


def megabytes(number: float) -> str:
    """`812 MB`, `12.3 GB`; thousands of what `peak_memory_mb` counts in."""
    if number < 1000:
        return f"{number:.0f}{NARROW_SPACE}MB"
    return f"{number / 1000:.1f}{NARROW_SPACE}GB"


def decimals(images: int) -> int:
    """Digits after the point that a percentage of `images` images can carry."""
    return 1 if images > _COARSEST_FOR_DECIMALS else 0


def bare_percent(fraction: float, images: int) -> str:
    """0.6512 -> `65.1`, without the sign, for tables whose heading has it."""
    return f"{100 * fraction:.{decimals(images)}f}"


def percent(fraction: float, images: int) -> str:
    """0.6512 -> `65.1 %`; without the decimal for 100 images or fewer."""
    return bare_percent(fraction, images) + NARROW_SPACE + "%"


def percent_range(interval: Interval, images: int) -> str:
    """The 95 % interval of an accuracy: `63.2–66.9 %`."""
    return f"{bare_percent(interval.low, images)}–{percent(interval.high, images)}"


def points(difference: float, images: int) -> str:
    """0.021 -> `+2.1`: percentage points, with a sign unless it rounds to zero."""
    text = f"{100 * abs(difference):.{decimals(images)}f}"
    if float(text) == 0.0:
        return text
    return (MINUS if difference < 0 else "+") + text


def points_range(interval: Interval, images: int) -> str:
    """The 95 % interval of a gain: `+1.0 to +3.2`."""
    return f"{points(interval.low, images)} to {points(interval.high, images)}"


def plural(number: int, noun: str) -> str:
    """`1 image`, `12 345 images`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes:02d} min"
