"""Two torchrun processes, one of which is killed."""

from __future__ import annotations

from functools import partial

from tests.faults.outcome import FaultOutcome, outcome
from tests.faults.place import ALL_STAGES, PLUGIN, REPOSITORY, Ended, FaultPlace
from tests.faults.site import Site
from tests.run.test_together import LOST, Together

_CHANGES = tuple(change.removeprefix("--set=") for change in ALL_STAGES)


def one_of_two(site: Site, times: int) -> list[FaultOutcome]:
    """Kill either process in training, and resume with the same number of processes."""
    undisturbed = _together(site.place(), site)
    rows = []
    for rank in (0, 1):
        place = site.place()
        killed = _start(place, site)
        killed.kill_when(rank, partial(place.has_trained, 4))
        code, _, complaints = killed.end(timeout=120)
        assert code != 0
        assert complaints.count(LOST) == 1, complaints
        place.interruptions += 2  # each of the two processes had a batch
        saw = f"{LOST.removeprefix('error: ')} (exit {code})"
        _together(place, site)
        rows.append(outcome(f"torchrun: rank {rank} of 2", [place], undisturbed, 1, saw))
    return rows


def _start(place: FaultPlace, site: Site) -> Together:
    settings = dict(place.environment()) | {"PYTHONPATH": f"{PLUGIN}:{REPOSITORY}"}
    return Together(site.recipe, place.folder, 2, *_CHANGES, **settings)


def _together(place: FaultPlace, site: Site) -> FaultPlace:
    code, _, complaints = _start(place, site).end()
    ended = Ended(code, "\n".join(complaints))
    assert ended.code == 0, ended.output
    return place
