"""An HTML page as a flat list of elements, read by the standard library's parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "input", "br", "hr", "source"}


@dataclass
class Element:
    """A tag, its attributes, the texts inside, and the elements inside, in order."""

    tag: str
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)
    inner: list[Element] = field(default_factory=list)

    @property
    def words(self) -> str:
        """Return the text inside, with every run of white space as one space."""
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, css_class: str | None = None) -> list[Element]:
        """Return every element inside, in order, with this tag and class."""
        return [
            element
            for element in self.inner
            if element.tag == tag
            and (css_class is None or css_class in element.attributes.get("class", "").split())
        ]

    def by_id(self, name: str) -> Element:
        """Return the element with this id."""
        return next(element for element in self.inner if element.attributes.get("id") == name)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        for outer in self.open:
            outer.inner.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        for outer in self.open:
            outer.inner.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for outer in self.open:
            outer.texts.append(data)


def parse(html: str) -> Element:
    """Return the page as one element; fails unless every tag is closed in its place."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert len(builder.open) == 1, f"<{builder.open[-1].tag}> is never closed"
    return builder.open[0]
