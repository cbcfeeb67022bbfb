"""Peak memory of a stage, measured and recorded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from latte.run import process
from latte.run.process import peak_memory_mb, start_measuring
from tests.helpers.records import recorded
from tests.helpers.shared_runs import SharedRuns

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone")


IN_A_NEW_PROCESS = """
import torch
from latte.run.process import peak_memory_mb, start_measuring
start_measuring("cpu")
before = peak_memory_mb("cpu")
held = torch.ones(100 * 2**18)
during = peak_memory_mb("cpu")
del held
after = peak_memory_mb("cpu")
start_measuring("cpu")
print(during - before, after - before, peak_memory_mb("cpu") - before)
"""


def test_peak_memory_is_that_since_measuring_started() -> None:
    """Measured in a new process, without the memory of earlier tests."""
    printed = subprocess.check_output([sys.executable, "-c", IN_A_NEW_PROCESS], text=True)
    peak_with_tensor, peak_after_freeing, peak_since_restart = map(float, printed.split())
    assert 90 <= peak_with_tensor <= 150
    assert 90 <= peak_after_freeing <= 150
    assert peak_since_restart < 50


def test_peak_memory_is_unknown_without_proc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "_STATUS", tmp_path / "missing")
    monkeypatch.setattr(process, "_CLEAR", tmp_path / "missing" / "too")
    start_measuring("cpu")
    assert peak_memory_mb("cpu") is None


def test_every_stage_records_its_peak_memory(shared_runs: SharedRuns) -> None:
    records = recorded(shared_runs.of().folder, "stages").values()
    assert all(stage_record["peak_memory_mb"] > 50 for stage_record in records)
