"""Inline SVG, built as a tree so that every text in it is escaped; colours come from the page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

Point = tuple[float, float]

_SAME = 1e-9
"""Values that differ by no more than this share of their size are drawn as equal."""

_LETTER = 7.0


class Drawing:
    """One picture. `css_class` names style rules of the page, which know light and dark."""

    def __init__(self, width: int, height: int, label: str | None, css_class: str) -> None:
        """`label` is read out in place of the picture; None marks it as decoration."""
        self._root = ElementTree.Element(
            "svg", {"viewBox": f"0 0 {width} {height}", "class": css_class}
        )
        if label is None:
            self._root.set("aria-hidden", "true")
        else:
            self._root.set("role", "img")
            self._root.set("aria-label", label)

    def line(self, start: Point, end: Point, css_class: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", css_class, x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2))

    def polyline(self, points: Iterable[Point], css_class: str) -> None:
        """A line through all points."""
        self._add("polyline", css_class, points=_point_list(points))

    def polygon(self, points: Iterable[Point], css_class: str) -> None:
        """A filled area."""
        self._add("polygon", css_class, points=_point_list(points))

    def circle(self, centre: Point, radius: float, css_class: str, tip: str | None = None) -> None:
        """A dot; `tip` is shown while a pointer is over it."""
        x, y = centre
        _tip(self._add("circle", css_class, cx=_n(x), cy=_n(y), r=_n(radius)), tip)

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
        """A rectangle from its upper left corner."""
        values = {"width": _n(width), "height": _n(height)}
        if opacity is not None:
            values["fill-opacity"] = f"{opacity:.2f}"
        _tip(self._add("rect", css_class, x=_n(corner[0]), y=_n(corner[1]), **values), tip)

    def ribbon(
        self, start: Point, end: Point, width: float, css_class: str, tip: str | None = None
    ) -> None:
        """A band that runs from one upper left corner to one upper right corner in an S."""
        (x1, y1), (x2, y2) = start, end
        middle = (x1 + x2) / 2
        upper = [(middle, y1), (middle, y2), (x2, y2)]
        lower = [(middle, y2 + width), (middle, y1 + width), (x1, y1 + width)]
        steps = (
            f"M{_point_list([start])}",
            f"C{_point_list(upper)}",
            f"V{_n(y2 + width)}",
            f"C{_point_list(lower)}Z",
        )
        _tip(self._add("path", css_class, d=" ".join(steps)), tip)

    def text(
        self,
        position: Point,
        text: str,
        css_class: str,
        anchor: str = "start",
        *,
        turned: bool = False,
    ) -> None:
        """One line of text, upwards where `turned`; its direction does not leak out."""
        x, y = _n(position[0]), _n(position[1])
        where = {"x": x, "y": y, "text-anchor": anchor}
        if turned:
            where["transform"] = f"rotate(-90 {x} {y})"
        self._add("text", css_class, **where).text = f"\u2068{text}\u2069"

    def markup(self) -> Markup:
        """The picture, to be put into a page as it is."""
        return Markup(ElementTree.tostring(self._root, encoding="unicode"))

    def _add(self, tag: str, css_class: str, **attributes: str) -> ElementTree.Element:
        return ElementTree.SubElement(self._root, tag, {"class": css_class, **attributes})


@dataclass(frozen=True)
class Scale:
    """Maps values linearly to a stretch of the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` lies in the picture."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @staticmethod
    def around(values: Iterable[float], start: float, end: float) -> Scale:
        """A scale that shows all values with a little room; also when they are all the same."""
        known = list(values)
        low, high = min(known), max(known)
        size = max(abs(low), abs(high))
        spread = high - low if high - low > size * _SAME else 0.0
        room = spread * 0.06 or size * 0.05 or 1.0
        return Scale(low - room, high + room, start, end)

    def ticks(self, wanted: int = 5) -> list[float]:
        """About `wanted` round numbers (1, 2 or 5 times a power of ten apart) on the scale."""
        step = self._step(wanted)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [index * step for index in range(first, last + 1)]

    def _step(self, wanted: int) -> float:
        rough = (self.high - self.low) / wanted
        magnitude = 10.0 ** math.floor(math.log10(rough))
        return magnitude * min((1, 2, 5, 10), key=lambda factor: _apart(factor, rough / magnitude))


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters of a text."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def text_width(text: str) -> float:
    """How wide a text of 12 pixels is, roughly: letters as broad ones, East Asian ones double."""
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in text)
    return _LETTER * (len(text) + wide)


def _tip(element: ElementTree.Element, tip: str | None) -> None:
    if tip is not None:
        ElementTree.SubElement(element, "title").text = tip


def _apart(one: float, other: float) -> float:
    """How different two sizes are, as a ratio."""
    return abs(math.log(one / other))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _point_list(points: Iterable[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
