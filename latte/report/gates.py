"""What a report says of the texts that gates held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from latte.interfaces import HeldBack
from latte.report.facts import Fact
from latte.report.numbers import count, percent, plural
from latte.report.plain import one_line


@dataclass(frozen=True)
class GateRow:
    """One gate on one description, for a table."""

    description: str
    gate: str
    held_back: str
    share: str
    """Of the description's texts."""
    example: str | None
    """A text that it held back, and why."""
    reason: str | None


def gate_rows(records: Sequence[HeldBack]) -> list[GateRow]:
    """A row for each gate and description, in the recipe's order."""
    return [
        GateRow(
            record.description,
            record.gate,
            f"{count(record.held_back)} of {count(record.texts)}",
            percent(record.held_back / record.texts, record.texts) if record.texts else "",
            None if record.example is None else one_line(record.example),
            None if record.reason is None else one_line(record.reason),
        )
        for record in records
    ]


def gate_facts(records: Sequence[HeldBack]) -> list[Fact]:
    """A fact for each description: how many of its texts were held back, and by which gates."""
    return [
        (f"Held back of {one_line(description)}", _told([*of]))
        for description, of in groupby(records, key=lambda record: record.description)
    ]


def _told(records: Sequence[HeldBack]) -> str:
    held_back = sum(record.held_back for record in records)
    total = plural(records[0].texts, "text")
    if not held_back:
        return f"none of {total}"
    parts = [f"{one_line(one.gate)} {count(one.held_back)}" for one in records if one.held_back]
    return f"{count(held_back)} of {total} ({', '.join(parts)})"
