"""Draw inline SVG; text is escaped, and the page's style sheet sets the colours."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

Point = tuple[float, float]

_SAME = 1e-9
"""Relative difference up to which two values are drawn as equal."""
_LETTER_WIDTH = 7.0


class Drawing:
    """An SVG picture; `css_class` selects rules of the page's style sheet."""

    def __init__(
        self, width: int, height: int, label: str | None, css_class: str, *, fixed: bool = False
    ) -> None:
        """Start a picture of this size in pixels; unless `fixed`, it scales to its column.

        Screen readers read the label, and skip a picture whose label is None.
        """
        self._root = ElementTree.Element(
            "svg", {"viewBox": f"0 0 {width} {height}", "class": css_class}
        )
        if fixed:
            self._root.attrib |= {"width": str(width), "height": str(height)}
        accessibility = (
            {"aria-hidden": "true"} if label is None else {"role": "img", "aria-label": label}
        )
        self._root.attrib |= accessibility

    def line(self, start: Point, end: Point, css_class: str) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", css_class, x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2))

    def polyline(self, points: Iterable[Point], css_class: str, tag: str = "polyline") -> None:
        """Draw a line through all points; with the tag `polygon`, draw a filled area."""
        self._add(tag, css_class, points=" ".join(f"{_n(x)},{_n(y)}" for x, y in points))

    def circle(self, centre: Point, radius: float, css_class: str) -> None:
        """Draw a dot."""
        self._add("circle", css_class, cx=_n(centre[0]), cy=_n(centre[1]), r=_n(radius))

    def bar(
        self,
        corner: Point,
        width: float,
        height: float,
        css_class: str,
        *,
        opacity: float | None = None,
        tip: str | None = None,
    ) -> None:
        """Draw a rectangle with this upper left corner; the mouse pointer over it shows `tip`."""
        values = {"width": _n(width), "height": _n(height)}
        if opacity is not None:
            values["fill-opacity"] = f"{opacity:.2f}"
        bar = self._add("rect", css_class, x=_n(corner[0]), y=_n(corner[1]), **values)
        if tip is not None:
            ElementTree.SubElement(bar, "title").text = tip

    def text(
        self,
        position: Point,
        text: str,
        css_class: str,
        anchor: str = "start",
        *,
        turned: bool = False,
    ) -> None:
        """Write one line of text, upwards if `turned` is true."""
        x, y = _n(position[0]), _n(position[1])
        where = {"x": x, "y": y, "text-anchor": anchor}
        if turned:
            where["transform"] = f"rotate(-90 {x} {y})"
        # Isolated, so that a right-to-left text does not reorder the text around it.
        self._add("text", css_class, **where).text = f"\u2068{text}\u2069"

    def markup(self) -> Markup:
        """Return the picture as safe HTML."""
        return Markup(ElementTree.tostring(self._root, encoding="unicode"))

    def _add(self, tag: str, css_class: str, **attributes: str) -> ElementTree.Element:
        return ElementTree.SubElement(self._root, tag, {"class": css_class, **attributes})


@dataclass(frozen=True)
class AxisScale:
    """Linear map from values (`low` to `high`) to pixels (`start` to `end`)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of `value` in the picture, in pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @staticmethod
    def around(values: Iterable[float], start: float, end: float) -> AxisScale:
        """Return a scale that shows all values with a margin, even if they are all equal."""
        numbers = list(values)
        low, high = min(numbers), max(numbers)
        size = max(abs(low), abs(high))
        spread = high - low if high - low > size * _SAME else 0.0
        room = spread * 0.06 or size * 0.05 or 1.0
        return AxisScale(low - room, high + room, start, end)

    def ticks(self, number: int = 5) -> list[float]:
        """Return about `number` tick positions, spaced by 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / number
        magnitude = 10.0 ** math.floor(math.log10(rough))
        exact = rough / magnitude
        step = magnitude * min((1, 2, 5, 10), key=lambda factor: abs(math.log(factor / exact)))
        lowest, highest = math.ceil(self.low / step), math.floor(self.high / step)
        return [index * step for index in range(lowest, highest + 1)]


def shortened(text: str, longest: int) -> str:
    """Return `text`, cut to at most `longest` characters with `…` at the end."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def text_width(text: str) -> float:
    """Return an upper estimate of a text's width in pixels, for a font size of 12 pixels."""
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in text)
    return _LETTER_WIDTH * (len(text) + wide)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
