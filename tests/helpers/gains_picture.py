"""Draw the picture of the README from the table in docs/results.md.

`python -m tests.helpers.gains_picture` writes docs/gains.svg.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PICTURE = DOCS / "gains.svg"
CELLS = {
    "all names": "all class names occur",
    "25 % of the names": "25 % of the names occur",
    "5 % of the names": "5 % of the names occur",
    "Zipf 1": "unequal classes (Zipf 1)",
    "one dominant class": "one dominant class",
    "50 images": "50 images",
    "200 images": "200 images",
    "30 % of no class": "30 % images of no class",
}
"""Rows of the table, and their labels in the picture."""
_HEAD = r"\| own images \|.*\| \*\*with the guard\*\* \|$"
_VALUE = r"(?P<mean>[+−-][\d.]+) \((?P<worst>[+−-][\d.]+), (?P<losing>\d+)\)"
_LEFT, _UNIT, _ROW, _TOP, _WIDTH = 200, 36, 26, 58, 720


def measured() -> dict[str, tuple[str, str]]:
    """Return the mean gain and the percent of folders that lose accuracy, as printed, by row."""
    lines = (DOCS / "results.md").read_text(encoding="utf-8").splitlines()
    start = next(place for place, line in enumerate(lines) if re.match(_HEAD, line))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *_, last = [cell.strip() for cell in line.strip("|").split("|")]
        value = re.fullmatch(_VALUE, last)
        assert value, f"cannot read {last!r}"
        found[first] = (value["mean"], value["losing"])
    return found


def picture() -> str:
    """Return the picture as SVG: a bar per kind of folder."""
    values = measured()
    bottom = _TOP + _ROW * len(CELLS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 30}" '
        f'width="{_WIDTH}" height="{bottom + 30}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{bottom + 30}" fill="#ffffff"/>',
        _text(12, 22, "latte adapt: mean gain over zero-shot CLIP", size=15),
        _text(12, 42, "points of top-1, tiny CLIP, on the eleven sets that latte was tuned on"),
        _text(_WIDTH - 12, 42, "folders losing > 1 point of accuracy", anchor="end"),
    ]
    for place, (row, label) in enumerate(CELLS.items()):
        mean, losing = values[row]
        middle = _TOP + _ROW * place + _ROW // 2
        width = _UNIT * float(mean.replace("−", "-"))
        parts += [
            _text(_LEFT - 8, middle + 4, label, anchor="end"),
            f'<rect x="{min(_LEFT, _LEFT + width):.0f}" y="{middle - 8}" '
            f'width="{abs(width):.0f}" height="16" fill="#b5651d"/>',
            _text(_LEFT + max(width, 0) + 6, middle + 4, mean),
            _text(_WIDTH - 12, middle + 4, f"{losing} %", anchor="end"),
        ]
    parts += [
        f'<line x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{bottom}" stroke="#333333"/>',
        _text(12, bottom + 20, "Means over the folders of docs/results.md, which has the rest."),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 13) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="#222222">{escape(text)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
