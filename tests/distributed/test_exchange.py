"""Several processes started by torchrun exchange values, and end together."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest


def torchrun(count: int, mode: str) -> subprocess.CompletedProcess[str]:
    options = ["--standalone", "--nproc-per-node", str(count), "-m", "tests.helpers.exchange"]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, mode],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_collectives_of_three_processes() -> None:
    done = torchrun(3, "exchange")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_stuck_process_is_ended_by_force_when_its_peer_dies() -> None:
    began = time.monotonic()
    done = torchrun(2, "stuck")
    assert done.returncode != 0
    assert done.stderr.count("error: this run has stopped: another of its processes has ended") == 1
    assert time.monotonic() - began < 60
