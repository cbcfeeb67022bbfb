"""`verdict.json`: what the guard of a run said, as it is written and read back, without torch."""

from __future__ import annotations

from dataclasses import asdict

from latte.interfaces import Verdict
from latte.interfaces.guard import check_verdict
from latte.io.files import write_json
from latte.results.folder import RunFolder
from latte.results.stored import explained, read_stored


def write_verdict(folder: RunFolder, verdict: Verdict) -> None:
    """Write `verdict.json`."""
    write_json(folder.verdict, asdict(verdict))


def read_verdict(folder: RunFolder) -> Verdict | None:
    """Return what the guard of this run said; None without a guard.

    Raises `LatteError` for a file that is missing or damaged.
    """
    if not folder.verdict.exists():
        record = folder.recorded("train")
        if record is None or folder.relative(folder.verdict) not in record.outputs:
            return None
    verdict = read_stored(folder.verdict, Verdict)
    with explained(folder.verdict):
        check_verdict(verdict)
    return verdict


def has_candidate(folder: RunFolder) -> bool:
    """Return whether the candidate is kept apart, as the run did not take all of it."""
    verdict = read_verdict(folder)
    return verdict is not None and verdict.strength < 1
