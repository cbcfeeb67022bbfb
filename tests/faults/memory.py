"""GPU out of memory, simulated by torch's exception, and the memory of a long sweep."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.faults.outcome import FaultOutcome, outcome
from tests.faults.place import ALL_STAGES
from tests.faults.site import Site

_STARVING = "--set=loss=starving"
_AFTER = "8"
"""Calls of the loss before the exception; with two calls per step, checkpoints exist by then."""

_RUNS = 30
_GROWTH = 20
"""Largest allowed growth in MiB from the second run of a sweep to the last."""


def lacking(site: Site, times: int) -> list[FaultOutcome]:
    """Raise it in a step and in the describer."""
    place = site.place([*ALL_STAGES, _STARVING])
    note = place.folder / "starve"
    note.write_text(_AFTER)
    ended = place.run(FAULTS_STARVE=str(note))
    assert ended.code == 2, ended.output
    assert place.steps() > 0
    place.finish()
    in_step = outcome("GPU memory, in a step", [place], site.whole(_STARVING), 1, ended)
    place = site.place()
    place.finish(FAULTS_STARVE_DESCRIBER="1")
    saw = "nothing: batches are halved (exit 0)"
    return [in_step, outcome("the same, describing", [place], site.whole(), 1, saw)]


def sweep(site: Site, times: int) -> list[FaultOutcome]:
    """Run a sweep of 30 seeds, and measure the resident memory after each."""
    place = site.place([])
    seeds = ",".join(map(str, range(_RUNS)))
    options = ("--seeds", seeds, "--quiet", "--set=output=runs")
    process = place.latte("sweep", str(site.recipe), *options)
    sizes: list[int] = []
    while process.poll() is None:
        if len([*place.folder.glob("runs/*/report/index.html")]) > len(sizes):
            sizes.append(_resident(process.pid))
        time.sleep(0.02)
    ended = place.end(process)
    assert ended.code == 0, ended.output
    assert len(sizes) >= _RUNS - 1, sizes  # the process may end before the last run is measured
    grown = sizes[-1] - sizes[1]
    saw = f"nothing: {sizes[0]} MiB after 1 run, {sizes[1]} after 2, {sizes[-1]} after {_RUNS}"
    lost = "nothing" if grown < _GROWTH else f"{grown} MiB more"
    return [FaultOutcome("memory of a sweep", _RUNS, saw, lost)]


def _resident(process: int) -> int:
    """Return the resident memory of a process in MiB, as Linux reports it."""
    status = Path(f"/proc/{process}/status").read_text()
    match = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(match[1]) // 1024 if match else 0
