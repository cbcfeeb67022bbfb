"""Texts for people, compared with stored ones.

Write the stored texts again, and look at the difference before it is committed:

    LATTE_WRITE_SNAPSHOTS=1 python -m pytest tests/report -k snapshot
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.helpers.html_document import Element

FOLDER = Path(__file__).parents[1] / "report" / "snapshots"
_SHOWN = ("h1", "h2", "h3", "p", "tr", "figcaption", "summary", "dt", "dd")


def assert_snapshot(name: str, text: str) -> None:
    """Compare `text` with the stored file of that name."""
    path = FOLDER / name
    if os.environ.get("LATTE_WRITE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


def outline(element: Element) -> str:
    """Return the headings, paragraphs and rows inside an element, one per line."""
    return "\n".join(
        f"{node.tag}: {' | '.join(_cells(node)) if node.tag == 'tr' else node.words}".rstrip()
        for node in element.all()
        if node.tag in _SHOWN
    )


def _cells(row: Element) -> list[str]:
    return [cell.words for cell in row.all() if cell.tag in ("th", "td")]
