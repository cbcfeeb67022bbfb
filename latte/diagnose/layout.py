"""Lines of text in columns, at most 80 wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from latte.compare.terminal import WIDTH, wrapped
from latte.report.numbers import NARROW_SPACE
from latte.report.plain import one_line

NAME = 24
GAP = "  "


def heading(title: str) -> str:
    """`title` on one line, as the head of a section."""
    text = one_line(title)
    return fitted(text[:1].upper() + text[1:], WIDTH).rstrip()


def paragraph(text: str) -> list[str]:
    """`text` in lines, all but the first indented."""
    return wrapped(text.replace(NARROW_SPACE, " "), WIDTH)


def explained(name: str, value: str, reading: str) -> Iterator[str]:
    """Name and value on the first line, the reading beside and below them."""
    first = f"{GAP}{fitted(name, NAME)}{GAP}{value:>8}{GAP}"
    lines = textwrap.wrap(reading, WIDTH - cell_len(first)) or [""]
    yield (first + lines[0]).rstrip()
    yield from (" " * cell_len(first) + line for line in lines[1:])


def columns(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Names with cells, each column as wide as its widest cell, and names as wide as fits."""
    widths = [max(map(cell_len, column)) for column in zip(*(row[1] for row in rows), strict=True)]
    room = WIDTH - len(GAP) - sum(width + len(GAP) for width in widths)
    name_width = min(room, max(cell_len(one_line(name)) for name, _ in rows))
    return [
        GAP.join(
            [
                GAP + fitted(name, name_width),
                *(
                    " " * (width - cell_len(cell)) + cell
                    for cell, width in zip(shown, widths, strict=True)
                ),
            ]
        ).rstrip()
        for name, shown in rows
    ]


def fitted(text: str, width: int) -> str:
    """`text` on one line of just `width` terminal columns, cut or filled up."""
    plain = one_line(text)
    if cell_len(plain) <= width:
        return set_cell_size(plain, width)
    return set_cell_size(set_cell_size(plain, width - 3).rstrip() + "...", width)
