"""An HTML page as a tree, read by the standard library's parser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "source"}


@dataclass
class Element:
    """A tag, its attributes and its content."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return all text inside, unchanged."""
        texts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(texts)

    @property
    def words(self) -> str:
        """Return the text with every run of white space as one space."""
        return " ".join(self.text.split())

    def all(self, tag: str | None = None, css_class: str | None = None) -> Iterator[Element]:
        """Yield every element inside, in order, with this tag and class."""
        for child in self.children:
            if isinstance(child, Element):
                has_class = (
                    css_class is None or css_class in child.attributes.get("class", "").split()
                )
                if tag in (None, child.tag) and has_class:
                    yield child
                yield from child.all(tag, css_class)

    def one(self, tag: str | None = None, css_class: str | None = None) -> Element:
        """Return the first such element."""
        return next(self.all(tag, css_class))

    def by_id(self, name: str) -> Element:
        """Return the element with this id."""
        return next(element for element in self.all() if element.attributes.get("id") == name)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    """Return the tree of a page; fails unless every tag is closed in its place."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert len(builder.open) == 1, f"<{builder.open[-1].tag}> is never closed"
    return builder.open[0]
