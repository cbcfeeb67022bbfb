"""The comparison as plain text that fits a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

from latte.io.redaction import one_line
from latte.report.comparison import cells
from latte.report.comparison.comparison import Comparison, dataset_titles, notes
from latte.report.comparison.rows import Row
from latte.report.numbers import MINUS, NARROW_SPACE, duration

WIDTH = 80
_GAP = "  "
_NARROWEST_NAME = 16
_OPTIONAL = ("memory", "time")
"""Columns that give way, the first one first, where names would have too little room."""
_INDENT = "  "


@dataclass(frozen=True)
class _Line:
    """A classifier: its name with the lines that belong to it, and its cells by heading."""

    name: str
    details: tuple[str, ...]
    cells: dict[str, str]


def table(comparison: Comparison) -> str:
    """The table, dataset by dataset, and the notes below it; at most 80 columns."""
    verdicts = comparison.has_verdicts
    blocks = [(row.data.digest, _row_lines(row, verdicts)) for row in comparison.rows]
    lines = [line for _, block in blocks for line in block]
    headings, dropped = _columns(comparison, lines)
    widths = [_width(heading, lines) for heading in headings]
    room = WIDTH - sum(width + len(_GAP) for width in widths)
    name_width = max(min(room, _longest_name(lines)), cell_len("method"))
    text: list[str] = []
    titles = dataset_titles(comparison.rows)
    for digest, title in titles.items():
        text += [*([""] if text else []), *wrapped(title, WIDTH)]
        text.append(_printed("method", name_width, headings, widths))
        for line in (line for own, block in blocks if own == digest for line in block):
            text += _line_text(line, name_width, headings, widths)
    if dropped:
        text += ["", f"Not shown for want of room: {', '.join(dropped)}; --csv and --json have it."]
    for note in notes(comparison):
        text += ["", *wrapped(_plain(note), WIDTH)]
    return "\n".join(text)


def _row_lines(row: Row, verdicts: bool) -> list[_Line]:
    """The row and what stands below it; with `verdicts`, what guards said stands below its name."""
    images = row.data.images
    figures = {
        "seeds": str(len(row.seeds)),
        "zero-shot": cells.baseline(row.zero_shot, images),
        "adapted": cells.top1(row.adapted.top1 if row.adapted else None, images),
        "gain (95 % interval)": cells.gain(row.adapted, images),
        "published": cells.published(row.published),
        "time": duration(sum(row.seconds.values())),
        "memory": cells.memory(row.peak_memory_mb),
    }
    labels = (*map(one_line, row.labels), *([row.verdict] if verdicts else []))
    own = _Line(one_line(row.method), labels, _plain_cells(figures))
    others = [
        _Line(
            f"{_INDENT}{one_line(name)}",
            (),
            _plain_cells(
                {
                    "seeds": str(result.top1.runs),
                    "adapted": cells.top1(result.top1, images),
                    "gain (95 % interval)": cells.gain(result, images),
                }
            ),
        )
        for name, result in row.others.items()
    ]
    return [own, *others]


def _columns(comparison: Comparison, lines: Sequence[_Line]) -> tuple[list[str], list[str]]:
    """Headings that are shown, and those for which there is no room."""
    headings = [*lines[0].cells]
    if comparison.published is None:
        headings.remove("published")
    if all(row.peak_memory_mb is None for row in comparison.rows):
        headings.remove("memory")
    dropped = []
    wanted = min(_longest_name(lines), _NARROWEST_NAME)
    for heading in _OPTIONAL:
        taken = sum(_width(one, lines) + len(_GAP) for one in headings)
        if heading in headings and WIDTH - taken < wanted:
            headings.remove(heading)
            dropped.append(heading)
    return headings, dropped


def _width(heading: str, lines: Sequence[_Line]) -> int:
    return max(cell_len(heading), *(cell_len(line.cells.get(heading, "")) for line in lines))


def _longest_name(lines: Sequence[_Line]) -> int:
    return max(
        cell_len(text)
        for line in lines
        for text in (line.name, *(_INDENT + label for label in line.details))
    )


def _line_text(
    line: _Line, name_width: int, headings: Sequence[str], widths: Sequence[int]
) -> list[str]:
    """The first line has the figures; a long name and the labels go on below."""
    name = wrapped(line.name, name_width)
    for label in line.details:
        name += wrapped(_INDENT + label, name_width)
    shown = [line.cells.get(heading, "") for heading in headings]
    return [_printed(name[0], name_width, shown, widths), *name[1:]]


def _printed(name: str, name_width: int, shown: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        " " * (width - cell_len(text)) + text for text, width in zip(shown, widths, strict=True)
    ]
    first = name + " " * (name_width - cell_len(name))
    return _GAP.join([first, *padded]).rstrip()


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of `width` columns, all but the first indented further."""
    indent = " " * (len(text) - len(text.lstrip()))
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else indent + word
        if cell_len(joined) <= width:
            lines[-1:] = [joined]
            continue
        below = indent + _INDENT if lines else indent
        pieces = chop_cells(word, width - len(indent + _INDENT))
        lines += [below + piece for piece in pieces]
    return lines


def _plain_cells(figures: dict[str, str]) -> dict[str, str]:
    return {heading: _plain(text) for heading, text in figures.items()}


def _plain(text: str) -> str:
    return text.replace(MINUS, "-").replace(NARROW_SPACE, " ")
