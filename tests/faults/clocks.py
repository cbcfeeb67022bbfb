"""Clocks that jump between runs and during a run, with the library libfaketime."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from tests.faults.outcome import FaultOutcome, NotPermittedError, outcome
from tests.faults.place import FaultPlace
from tests.faults.site import Site

_YEAR = 365 * 86_400


def jumps(site: Site, times: int) -> list[FaultOutcome]:
    """Move the clock by a year between parts of a run, and back and forth during a run."""
    library = _library()
    rows = []
    for fault, then in (("clock back a year", -_YEAR), ("clock ahead a year", _YEAR)):
        place = site.place()
        for offset, ready in ((0, _describing), (then, _training)):
            place.interrupt_when(
                partial(ready, place), signal.SIGKILL, **_clock(place, library, offset)
            )
        place.finish(**_clock(place, library, then))
        rows.append(outcome(fault, [place], site.whole(), 1, "nothing (exit 0)"))
    place = site.place()
    process = place.start(**_clock(place, library, 0))
    for stage, offset in (("describe", -_YEAR), ("train", _YEAR), ("controls", -5)):
        assert place.wait_until(partial(place.has_begun, stage), process)
        _set(place, offset)
    ended = place.end(process)
    assert ended.code == 0, ended.output
    return [*rows, outcome("clock jumps in a run", [place], site.whole(), 3, "nothing (exit 0)")]


def _describing(place: FaultPlace) -> bool:
    return len(place.asked()) >= 6


def _training(place: FaultPlace) -> bool:
    return place.steps() >= 4


def _clock(place: FaultPlace, library: Path, offset: int) -> dict[str, str]:
    _set(place, offset)
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(place.folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _set(place: FaultPlace, offset: int) -> None:
    (place.folder / "clock").write_text(f"{offset:+d}\n")


def _library() -> Path:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        raise NotPermittedError("needs libfaketime (Debian: apt-get install libfaketime)")
    return libraries[0]
