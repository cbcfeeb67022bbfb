"""Format numbers as text, with no more digits than the sample size supports."""

from __future__ import annotations

from latte.interfaces import Interval

NARROW_SPACE = "\u202f"
PERCENT = f"{NARROW_SPACE}%"
MINUS = "\u2212"
ABSENT = "–"
"""Text in place of a missing number."""

_COARSEST_FOR_DECIMALS = 100
"""Number of images up to which a single image counts at least one percentage point."""


def count(number: int) -> str:
    """Return a number with digits in groups of three, such as 12345 as `12,345`."""
    return f"{number:,}"


def signed_count(number: int) -> str:
    """Return a difference of two counts with its sign, such as `+3`; zero has no sign."""
    sign = "+" if number > 0 else MINUS if number < 0 else ""
    return sign + count(abs(number))


def plural(number: int, noun: str, many: str = "") -> str:
    """Return a number with its noun; `many` is an irregular plural.

    Example:
        >>> from latte.api.output import plural
        >>> plural(12345, "image")
        '12,345 images'
    """
    return f"{count(number)} {noun if number == 1 else many or noun + 's'}"


def size(number_of_bytes: float) -> str:
    """Return a size in memory or on disk, as `812 bytes`, `3 KiB`, `640 MiB` or `12.3 GiB`."""
    for power, unit in enumerate(("bytes", "KiB", "MiB")):
        if round(number_of_bytes / 1024**power) < 1024:
            return f"{number_of_bytes / 1024**power:.0f} {unit}"
    return f"{number_of_bytes / 1024**3:,.1f} GiB"


def mebibytes(number: float | None) -> str:
    """Return a number of MiB as text, such as `812 MiB` or `12.3 GiB`; `ABSENT` for None."""
    return ABSENT if number is None else size(number * 1024**2)


def duration(seconds: float) -> str:
    """Return a number of seconds as text, such as `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    hours, minutes = divmod(round(rounded / 60), 60)
    return f"{hours} h {minutes:02d} min"


def bare_percent(fraction: float, images: int) -> str:
    """Return a fraction in percent without the `%` sign.

    With at most 100 images, an image counts a point or more, and the number has no decimals.

    Example:
        >>> from latte.api.output import bare_percent
        >>> bare_percent(0.6512, images=1000)
        '65.1'
    """
    return f"{100 * fraction:.{1 if images > _COARSEST_FOR_DECIMALS else 0}f}"


def percent(fraction: float, images: int) -> str:
    """Return a fraction in percent, such as 0.6512 as `65.1 %`."""
    return bare_percent(fraction, images) + PERCENT


def percent_range(interval: Interval, images: int) -> str:
    """Return the 95 % interval of an accuracy, such as `63.2–66.9 %`."""
    return f"{bare_percent(interval.low, images)}–{percent(interval.high, images)}"


def points(difference: float, images: int) -> str:
    """Return a difference of fractions in percentage points, with its sign.

    Example:
        >>> from latte.api.output import points
        >>> points(0.021, images=1000)
        '+2.1'
    """
    text = bare_percent(abs(difference), images)
    if float(text) == 0.0:
        return text
    return (MINUS if difference < 0 else "+") + text


def points_range(interval: Interval, images: int) -> str:
    """Return the 95 % interval of a gain, such as `+1.0 to +3.2`."""
    return f"{points(interval.low, images)} to {points(interval.high, images)}"


def points_with_range(gain: Interval, images: int) -> str:
    """Return a gain with its 95 % interval in percentage points.

    Example:
        >>> from latte.api import Interval
        >>> from latte.api.output import points_with_range
        >>> points_with_range(Interval(0.021, 0.01, 0.032), images=1000)
        '+2.1 (+1.0 to +3.2)'
    """
    return f"{points(gain.value, images)} ({points_range(gain, images)})"


FEW = 10
"""Number of images below which a share is written as two counts: a percentage would look exact."""


def rounded_share(fraction: float, images: int) -> str:
    """Return a fraction in whole percent, as `63 %`; of fewer than `FEW` images, as `5 of 8`."""
    if images < FEW:
        return f"{round(fraction * images)} of {images}"
    return f"{100 * fraction:.0f}{PERCENT}"


def right_labels(fraction: float, images: int) -> str:
    """Return how many labels are right, as `63 % of labels`; of few images, `5 of 8 labels`."""
    share = rounded_share(fraction, images)
    return f"{share} labels" if images < FEW else f"{share} of labels"


def rounded_range(low: float, high: float) -> str:
    """Return two fractions as an interval in whole percent, such as `49 to 75 %`."""
    return f"{100 * low:.0f} to {100 * high:.0f}{PERCENT}"


def rounded_points(difference: float) -> str:
    """Return a difference of fractions in whole percentage points, with its sign."""
    return points(difference, images=0)


def rounded_points_range(interval: Interval) -> str:
    """Return the 95 % interval of a gain in whole points; signs only where one is negative.

    Example: `14 to 28` and `−2 to +5`.
    """
    text = f"{rounded_points(interval.low)} to {rounded_points(interval.high)}"
    return text if MINUS in text else text.replace("+", "")
