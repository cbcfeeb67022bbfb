"""A run that is killed with kill -9 and started again gives the result of an uninterrupted run.

All faults that can happen to a run, and as many kills as one likes: `python -m tests.faults`.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.faults.damage import turned
from tests.faults.place import BATCH, FaultPlace, differences

CHANGES = (
    "--set=describer=slow",
    "--set=train.max_epochs=20",
    "--set=train.checkpoint_every=1",
    "--set=train.evaluate_every=5",
)


@pytest.mark.slow
@pytest.mark.processes
def test_resume_after_kill_while_describing_and_training_gives_identical_results(
    recipe: Path, tmp_path: Path
) -> None:
    """A flipped bit in the newest checkpoint is reported, and the checkpoint before it is used."""
    uninterrupted = FaultPlace(recipe, tmp_path / "whole", CHANGES)
    uninterrupted.finish()

    killed = FaultPlace(recipe, tmp_path / "killed", CHANGES)
    killed.kill_when(lambda: len(killed.asked()) >= 6)
    killed.kill_when(partial(killed.has_trained, 7))
    turned(max(killed.run_folder.glob("checkpoints/step-*/state.safetensors")))
    ended = killed.run()
    assert ended.code == 0, ended.output
    assert "is damaged and not used: its bytes are not those that were written" in ended.output
    assert differences(killed, uninterrupted) == []
    assert killed.leftovers() == []

    # A kill can fall between an answer and its record: at most that one batch is asked again.
    times = Counter(killed.asked())
    assert times.keys() == set(uninterrupted.asked())
    assert sum(times.values()) <= len(times) + BATCH
