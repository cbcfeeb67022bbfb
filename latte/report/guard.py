"""What a report says of a guard's verdict."""

from __future__ import annotations

from latte.interfaces import Verdict
from latte.report.plain import one_line


def guard_note(verdict: Verdict | None) -> str | None:
    """The line that tells that zero-shot was kept, and why; None where the run adapted."""
    if verdict is None or verdict.adapt:
        return None
    return f"The guard kept zero-shot: {one_line(verdict.reason)}."
