"""`python -m tests.faults [--times N] [--only NAME]`: inject faults and print their outcomes."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults import (
    circumstances,
    clocks,
    damage,
    disks,
    interruptions,
    memory,
    network,
    processes,
)
from tests.faults.outcome import FaultOutcome, NotPermittedError, heads, skipped, table
from tests.faults.site import Site

FAULTS: Mapping[str, Callable[[Site, int], list[FaultOutcome]]] = {
    "kill": interruptions.killed,
    "export": interruptions.export_killed,
    "signals": interruptions.told_to_end,
    "twice": interruptions.twice_at_once,
    "disk": disks.full,
    "limit": disks.limited,
    "read-only": disks.read_only,
    "clock": clocks.jumps,
    "checkpoint": damage.checkpoints,
    "cache": damage.caches,
    "memory": memory.lacking,
    "sweep": memory.sweep,
    "network": network.gone,
    "processes": processes.one_of_two,
    "circumstances": circumstances.every_command,
}


def main(arguments: list[str]) -> int:
    """Return exit code 1 if data are lost, results differ, or a message is bad; else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=8, help="kills in all (default 8)")
    parser.add_argument("--only", choices=FAULTS, action="append", help="may be repeated")
    parser.add_argument("--folder", type=Path, help="for all runs (default: a temporary one)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="latte-faults-") as temporary:
        site = Site((options.folder or Path(temporary)).absolute())
        print(heads())  # noqa: T201 - what this command is for
        outcomes = []
        for name in options.only or FAULTS:
            outcomes_of_fault = happen(name, site, options.times)
            print(table(outcomes_of_fault), flush=True)  # noqa: T201 - seen even if what follows is killed
            outcomes += outcomes_of_fault
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


def happen(name: str, site: Site, times: int) -> list[FaultOutcome]:
    """Return the outcomes of one fault; an exception while it runs is a bad outcome."""
    print(f"{name} ...", file=sys.stderr)  # noqa: T201
    try:
        return FAULTS[name](site, times)
    except NotPermittedError as error:
        return [skipped(name, str(error))]
    except AssertionError as error:
        traceback.print_exc()
        return [FaultOutcome(name, 1, " ".join(str(error).split())[:300], same="failed")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
