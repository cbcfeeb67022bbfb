"""Show how a command ended on one screen of the terminal: at most 16 lines of 80 columns.

The four parts are the same for every command: what came out (counts with bars), one sentence of
result, one of trust, and the next step. Without a terminal that can draw, `plain_lines` has the
same facts as tab-separated lines, for other programs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from latte.io.redaction import one_line
from latte.report.output import echo
from latte.report.terminal import SafeConsole, drawn, indented, plain, width

LINES = 16
"""Largest number of lines of a screen."""
_INDENT = 2
_GAP = 2
_WIDEST_NAME = 24
_WIDEST_BAR = 32
_NARROWEST_BAR = 8
_KEY = 8
"""Width of the words `next` and `report` with the spaces after them."""


@dataclass(frozen=True)
class Bar:
    """A row of the first part.

    Attributes:
        before: An earlier count, which is drawn behind the bar where it was larger; None if it is
            unknown.
        note: Text at the end of the row, such as `60 % of 40`.
        is_doubtful: True if the note needs a look.
    """

    name: str
    number: int
    before: int | None = None
    note: str = ""
    is_doubtful: bool = False


@dataclass(frozen=True)
class Step:
    """A command or a path that can be copied.

    Attributes:
        word: What it is, such as `next` or `report`.
        purposes: What it is for, in several lengths, the longest first.
    """

    word: str
    text: str
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Screen:
    """The four parts of a screen.

    Attributes:
        status: One line: what was done, and how long it took.
        headings: Headings of the names, of the counts, and of the notes.
        result: One sentence.
        trust: One or two sentences; empty if there is nothing to trust.
        steps: Commands and paths that can be copied, the next step first.
        warning: End of the status line that needs a look; empty without any.
        facts: Further pairs of a word and a text, for other programs only.
    """

    status: str
    headings: tuple[str, str, str]
    bars: Sequence[Bar]
    result: str
    trust: str
    steps: Sequence[Step]
    warning: str = ""
    facts: Sequence[tuple[str, str]] = ()


def can_draw(*, err: bool = False) -> bool:
    """Return True if stdout, or stderr if `err`, is a terminal that shows colours and bars."""
    stream = sys.stderr if err else sys.stdout
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    return stream.isatty() and not is_plain


def print_screen(screen: Screen, *, err: bool = False) -> None:
    """Print a screen if the stream can draw it, else its plain lines."""
    stream = sys.stderr if err else sys.stdout
    if not can_draw(err=err):
        echo("\n".join(plain_lines(screen)), err=err)
        return
    console = SafeConsole(stderr=err, width=width(), markup=False, highlight=False, emoji=False)
    draw(screen, console)
    stream.flush()


def draw(screen: Screen, console: Console) -> None:
    """Print the lines of a screen on `console`."""
    for line in screen_lines(screen, console.width):
        console.print(line, soft_wrap=True)


def screen_lines(screen: Screen, columns: int) -> list[Text]:
    """Return at most `LINES` lines of at most `columns` columns."""
    head = _status(screen, columns)
    words = [*_sentences(screen.result, "bold"), *_sentences(screen.trust, "")]
    steps = [_step(step, columns) for step in screen.steps]
    blank = Text()
    parts = [words, steps]
    # A command is not wrapped, so that it can be copied; the terminal breaks a long one.
    fixed = sum(-(-line.cell_len // columns) for line in (*head, *words, *steps)) + len(parts)
    rows = _table(screen, LINES - fixed - 2, columns)
    table = [blank, *rows] if rows else []
    return [*head, *table, *(line for part in parts if part for line in (blank, *part))]


def plain_lines(screen: Screen) -> list[str]:
    """Return tab-separated lines with the facts of a screen, without marks and bars."""
    lines = []
    for bar in screen.bars:
        before = [] if bar.before is None else [str(bar.before)]
        note = [bar.note] if bar.note and (bar.before is None or not bar.is_doubtful) else []
        lines.append("\t".join(["label", one_line(bar.name), str(bar.number), *before, *note]))
    pairs = [
        ("result", screen.result.rstrip(".")),
        ("trust", screen.trust.rstrip(".")),
        *((step.word, step.text) for step in screen.steps),
        *screen.facts,
        ("done", screen.status + screen.warning),
    ]
    return [*lines, *(f"{key}\t{one_line(plain(text))}" for key, text in pairs if text)]


def _status(screen: Screen, columns: int) -> list[Text]:
    line = Text.assemble(("✓ ", "green"), screen.status, (screen.warning, "yellow"))
    if line.cell_len <= columns:
        return [line]
    return [
        Text.assemble(("✓ ", "green"), screen.status),
        Text(f"  {screen.warning.lstrip('; ')}", "yellow"),
    ]


def _sentences(text: str, style: str) -> list[Text]:
    if not text:
        return []
    return [Text(line, style) for line in drawn(indented(text))]


def _step(step: Step, columns: int) -> Text:
    """Return the line of a command or path, with the longest purpose that fits beside it."""
    key = f"{' ' * _INDENT}{step.word:<{_KEY}}"
    line = Text.assemble((key, "dim"), (one_line(step.text), "cyan"))
    room = columns - line.cell_len - 3
    purpose = next((text for text in step.purposes if cell_len(text) <= room), "")
    return line.append(f"   {purpose}", "dim") if purpose else line


def _table(screen: Screen, rows: int, columns: int) -> list[Text]:
    """Return a heading and at most `rows` rows; the last row adds up those without room."""
    if not screen.bars:
        return []
    room = rows if len(screen.bars) <= rows else max(rows - 1, 1)
    shown, rest = screen.bars[:room], screen.bars[room:]
    bars = [*shown, *([_sum_of(rest)] if rest else [])]
    layout = _layout(screen.headings, bars, columns)
    largest = max(max(bar.number, bar.before or 0) for bar in shown)
    return [
        layout.heading(screen.headings),
        *(layout.row(bar, largest) for bar in shown),
        *(layout.row(bar, 0) for bar in bars[len(shown) :]),
    ]


def _layout(headings: tuple[str, str, str], bars: Sequence[Bar], columns: int) -> _Layout:
    name = min(_WIDEST_NAME, columns // 3, max(cell_len(one_line(bar.name)) for bar in bars))
    name = max(name, cell_len(headings[0]))
    number = max(len(headings[1]), *(len(f"{bar.number:,}") for bar in bars))
    note = max(cell_len(headings[2]), *(cell_len(_note(bar)) for bar in bars))
    free = columns - (_INDENT + name + _GAP + number + _GAP + _GAP + note)
    return _Layout(name, number, max(min(_WIDEST_BAR, free), 0), note)


def _sum_of(bars: Sequence[Bar]) -> Bar:
    before = [bar.before for bar in bars if bar.before is not None]
    total = sum(before) if len(before) == len(bars) else None
    has_notes = any(bar.note for bar in bars)
    return Bar(f"{len(bars):,} more", sum(bar.number for bar in bars), None if has_notes else total)


def _note(bar: Bar) -> str:
    if bar.note:
        return plain(bar.note)
    return "" if bar.before is None else f"{bar.before:,}"


@dataclass(frozen=True)
class _Layout:
    """Widths of the columns of the first part."""

    name: int
    number: int
    bar: int
    note: int

    def heading(self, headings: tuple[str, str, str]) -> Text:
        """Return the line of headings."""
        first, second, third = headings
        start = f"{' ' * _INDENT}{_cell(first, self.name)}{' ' * _GAP}{second:>{self.number}}"
        if not third:
            return Text(start, "dim")
        room = " " * (_GAP + self.bar + _GAP)
        return Text(f"{start}{room}{third:>{self.note}}", "dim")

    def row(self, bar: Bar, largest: int) -> Text:
        """Return the line of a bar; without bars if `largest` is 0."""
        note = _note(bar)
        line = Text(f"{' ' * _INDENT}{_cell(one_line(bar.name), self.name)}{' ' * _GAP}")
        line.append(f"{bar.number:>{self.number},}", "bold")
        drawn = _bar(bar, largest, self.bar)
        line.append(" " * _GAP).append_text(drawn)
        if not note:
            line.rstrip()
            return line
        line.append(" " * (self.bar - drawn.cell_len + _GAP))
        aligned = note if bar.is_doubtful else " " * (self.note - cell_len(note)) + note
        line.append(aligned, "yellow" if bar.is_doubtful else "dim")
        return line


def _cell(text: str, columns: int) -> str:
    """Return `text` with a width of `columns`; a longer text ends with `…`."""
    if cell_len(text) <= columns:
        return set_cell_size(text, columns)
    return f"{set_cell_size(text, columns - 1)}…"


def _bar(bar: Bar, largest: int, columns: int) -> Text:
    """Return the bar of a count, and behind it what an earlier count had more."""
    if largest <= 0 or columns < _NARROWEST_BAR:
        return Text()
    now, before = (
        _halves(number, largest, columns) for number in (bar.number, max(bar.before or 0, 0))
    )
    line = Text("━" * (now // 2) + "╸" * (now % 2), "cyan")
    lost = (before + 1) // 2 - (now + 1) // 2
    return line.append("━" * max(lost, 0), "bright_black")


def _halves(number: int, largest: int, columns: int) -> int:
    """Return the length of a bar in half columns; a count above zero has at least one."""
    return max(1 if number else 0, round(2 * columns * number / largest))
