"""Outcomes of faults, and their table in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from tests.faults.place import Ended, FaultPlace, asked_in_vain, differences

_WIDTHS = (22, 5, 31, 8, 10)
_SHOWN = 110
"""Longest shown message, in characters."""
_HEADS = ("fault", "times", "what the user saw", "lost?", "identical?")


class NotPermittedError(Exception):
    """The machine does not permit the fault; the message names what is missing."""


@dataclass(frozen=True)
class FaultOutcome:
    """Outcome of one fault: a row of the table."""

    fault: str
    times: int
    saw: str
    lost: str = "nothing"
    """Work that was repeated, or files that were left incomplete."""
    same: str = "yes"
    """`yes` if the resumed run has the results of an undisturbed run."""

    @property
    def is_good(self) -> bool:
        """True if nothing was lost and the results are equal."""
        return self.lost == "nothing" and self.same == "yes"


def skipped(fault: str, why: str) -> FaultOutcome:
    """Return the row of a fault that cannot be injected on this machine."""
    return FaultOutcome(fault, 0, f"not tried: {why}")


def outcome(
    fault: str, places: Sequence[FaultPlace], expected: FaultPlace, times: int, ended: Ended | str
) -> FaultOutcome:
    """Compare the final results in `places` with `expected`."""
    different = sorted(
        {difference for place in places for difference in differences(place, expected)}
    )
    in_vain = sum(asked_in_vain(place, expected) for place in places)
    left = [leftover for place in places for leftover in place.leftovers()]
    lost = [f"{in_vain} texts"] if in_vain else []
    lost += [f"left: {', '.join(left)}"] if left else []
    return FaultOutcome(
        fault,
        times,
        ended if isinstance(ended, str) else seen(ended),
        "; ".join(lost) or "nothing",
        f"no: {', '.join(different)}" if different else "yes",
    )


def seen(ended: Ended) -> str:
    """Return exit code and message, or that there was a traceback, which is a bug."""
    assert "Traceback" not in ended.output, ended.output
    return f"{textwrap.shorten(ended.said, _SHOWN, placeholder='...')} (exit {ended.code})"


def heads() -> str:
    """Return the header of the table."""
    return "\n".join([_row(_HEADS), _row(["-" * width for width in _WIDTHS])])


def table(outcomes: Sequence[FaultOutcome]) -> str:
    """Return rows of at most 80 columns."""
    rows = []
    for outcome in outcomes:
        times = str(outcome.times) if outcome.times else "-"
        tried = (outcome.lost, outcome.same) if outcome.times else ("-", "-")
        rows.append(_row((outcome.fault, times, outcome.saw, *tried)))
    return "\n".join(rows)


def _row(cells: Sequence[str]) -> str:
    folded = [
        textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, _WIDTHS, strict=True)
    ]
    lines = [
        " ".join(part.ljust(width) for part, width in zip(row_cells, _WIDTHS, strict=True)).rstrip()
        for row_cells in zip_longest(*folded, fillvalue="")
    ]
    return "\n".join(lines)
