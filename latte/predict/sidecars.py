"""Write the classes of images into XMP sidecars, which photo managers read. Imports no torch.

A sidecar is a file beside the image, `photo.jpg.xmp`; the image itself is never changed. The class
becomes a keyword (`dc:subject`) and, below `latte`, a keyword in a tree
(`lr:hierarchicalSubject`). All else in a sidecar that another program wrote stays. `latte:subject`
names the keyword that latte added, so that another label replaces it and no keyword of a person.
"""

from __future__ import annotations

import io
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from latte.interfaces import LatteError
from latte.io.files import write_text
from latte.io.paths import is_file, path_from_text

if TYPE_CHECKING:  # this import loads torch
    from latte.evaluate.predictions import Prediction

_NAMES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "latte": "urn:latte:xmp:1.0:",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "x": "adobe:ns:meta/",
    "xml": "http://www.w3.org/XML/1998/namespace",
}
_MOST_BYTES = 16 * 2**20
"""Size from which a sidecar is not read."""
_SUBJECT, _TREE = ("dc", "subject"), ("lr", "hierarchicalSubject")
_ROOT = "latte"
"""The keyword in a tree above all classes."""
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may contain."""
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'


def sidecar_of(image: Path) -> Path:
    """Return the sidecar of an image: `photo.jpg.xmp`, unless there is only a `photo.xmp`."""
    with_suffix, without = image.with_name(f"{image.name}.xmp"), image.with_suffix(".xmp")
    return without if is_file(without) and not is_file(with_suffix) else with_suffix


class Sidecars:
    """Writer of the sidecars of classified images."""

    def __init__(self, min_confidence: float = 0.0) -> None:
        """Prepare to write; an image below `min_confidence` gets no keyword."""
        self.written: int = 0
        """Number of sidecars that were created or changed."""
        self._min_confidence = min_confidence

    def write(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield each prediction after its sidecar was written; fail with `LatteError`."""
        for row in rows:
            is_sure = row.label >= 0 and row.confidence >= self._min_confidence
            self.written += write_keyword(
                Path(path_from_text(row.image)), row.name if is_sure else None
            )
            yield row

    def summary(self) -> str:
        """Return a line with the number of written sidecars."""
        return f"sidecars (XMP) written or changed: {self.written:,}"


def write_keyword(image: Path, name: str | None) -> bool:
    """Make `name` the keyword of an image in its sidecar; None takes latte's keyword away.

    Returns:
        True if the sidecar was created or changed.

    Raises:
        LatteError: if the sidecar is no XMP, or cannot be written.
    """
    path = sidecar_of(image)
    try:
        if not is_file(path) and name is None:
            return False
        before = path.read_bytes() if is_file(path) else None
        if before is not None and len(before) > _MOST_BYTES:
            raise _no_xmp(path, "it is larger than 16 MiB")
        root = _parsed(path, before)
        _set_keyword(_graph(path, root), name and _NO_XML.sub(" ", name))
        ElementTree.indent(root, " ")
        text = f"{_BEGIN}\n{ElementTree.tostring(root, encoding='unicode')}\n{_END}\n"
        if before is not None and text.encode() == before:
            return False
        write_text(path, text)
    except OSError as error:
        what = f"the sidecar cannot be written: {error.strerror or error}"
        raise LatteError(what, where=str(path)) from error
    return True


def _parsed(path: Path, content: bytes | None) -> Element:
    """Return the root of a sidecar; prefixes of its namespaces are kept for writing."""
    for prefix, name in _NAMES.items():
        ElementTree.register_namespace(prefix, name)
    if content is None:
        root = Element(_tag("x", "xmpmeta"))
        SubElement(root, _tag("rdf", "RDF"))
        return root
    try:
        for _, (prefix, name) in ElementTree.iterparse(io.BytesIO(content), ["start-ns"]):
            if prefix and prefix not in _NAMES and name not in _NAMES.values():
                with suppress(ValueError):  # `ns0` and the like; ElementTree numbers them itself
                    ElementTree.register_namespace(prefix, name)
        builder = ElementTree.TreeBuilder(insert_comments=True)
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=builder))
    except (ElementTree.ParseError, ValueError) as error:
        raise _no_xmp(path, str(error)) from error


def _graph(path: Path, root: Element) -> Element:
    """Return the element that holds the descriptions of the photo."""
    graph = root if root.tag == _tag("rdf", "RDF") else root.find(_tag("rdf", "RDF"))
    if graph is None:
        raise _no_xmp(path, "it has no rdf:RDF")
    return graph


def _set_keyword(graph: Element, name: str | None) -> None:
    mark = _tag("latte", "subject")
    for description in graph.iter(_tag("rdf", "Description")):
        if before := description.attrib.pop(mark, None):
            _remove(graph, _SUBJECT, partial(operator.eq, before))
    _remove(graph, _TREE, lambda word: word.startswith(f"{_ROOT}|"))
    if name is None:
        return
    description = _with(graph, "rdf", "Description", {_tag("rdf", "about"): ""})
    if _add(graph, _SUBJECT, name):
        description.set(mark, name)
    _add(graph, _TREE, f"{_ROOT}|{name.replace('|', '/')}")


def _add(graph: Element, words: tuple[str, str], text: str) -> bool:
    """Add a text to a list of keywords; return False if it is there."""
    keywords = graph.find(f"*/{_tag(*words)}")
    if keywords is None:
        keywords = SubElement(_with(graph, "rdf", "Description", {}), _tag(*words))
    bag = _with(keywords, "rdf", "Bag", {})
    if any(item.text == text for item in bag):
        return False
    SubElement(bag, _tag("rdf", "li")).text = text
    return True


def _remove(graph: Element, words: tuple[str, str], is_removed: Callable[[str], bool]) -> None:
    """Remove texts from a list of keywords, and the list if nothing is left."""
    for description in graph.iter(_tag("rdf", "Description")):
        for keywords in description.findall(_tag(*words)):
            for bag in keywords:
                for item in [item for item in bag if is_removed(item.text or "")]:
                    bag.remove(item)
            if not any(len(bag) for bag in keywords):
                description.remove(keywords)


def _with(parent: Element, prefix: str, name: str, attributes: dict[str, str]) -> Element:
    """Return the first child of this name, or a new one."""
    child = parent.find(_tag(prefix, name))
    return SubElement(parent, _tag(prefix, name), attributes) if child is None else child


def _tag(prefix: str, name: str) -> str:
    return f"{{{_NAMES[prefix]}}}{name}"


def _no_xmp(path: Path, why: str) -> LatteError:
    what = f"this sidecar is no XMP that latte can add a keyword to: {why}"
    return LatteError(what, where=str(path), hint="repair it, or move it away")
