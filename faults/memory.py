"""GPU out of memory, simulated by torch's exception, in training and in describing."""

from __future__ import annotations

from faults.outcome import Outcome, outcome
from faults.place import ALL_STAGES
from faults.site import Site

_STARVING = "--set=loss=starving"
_AUTO = "--set=train.micro_batch_size=auto"
_AFTER = "8"
"""Calls of the loss before the exception; a step has two, so checkpoints exist by then."""


def lacking(site: Site, times: int) -> list[Outcome]:
    """Raise it in a step, with and without `micro_batch_size: auto`, and in the describer."""
    rows = []
    for fault, changes in (
        ("GPU memory, in a step", [_STARVING]),
        ("the same, part auto", [_STARVING, _AUTO]),
    ):
        place = site.place([*ALL_STAGES, *changes])
        note = place.folder / "starve"
        note.write_text(_AFTER)
        ended = place.run(FAULTS_STARVE=str(note))
        assert ended.code == 2, ended.output
        assert place.steps() > 0
        place.finish()
        rows.append(outcome(fault, [place], site.whole(*changes), 1, ended))
    place = site.place()
    place.finish(FAULTS_STARVE_DESCRIBER="1")
    saw = "nothing: batches are halved (exit 0)"
    return [*rows, outcome("the same, describing", [place], site.whole(), 1, saw)]
