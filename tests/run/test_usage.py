"""Peak memory of a stage: of what ran since measuring began, and written down with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from latte.run import usage
from latte.run.usage import peak_memory_mb, start_measuring
from tests.run.runs import run

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone")


def test_a_peak_is_what_was_held_at_once_since_measuring_began() -> None:
    start_measuring("cpu")
    before = peak_memory_mb("cpu")
    held = torch.ones(100 * 2**18)
    during = peak_memory_mb("cpu")
    del held
    after = peak_memory_mb("cpu")
    assert before is not None
    assert during is not None
    assert after is not None
    assert 90 <= during - before <= 150
    assert after > before + 80


def test_a_system_that_does_not_tell_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(usage, "_STATUS", tmp_path / "missing")
    monkeypatch.setattr(usage, "_CLEAR", tmp_path / "missing" / "too")
    start_measuring("cpu")
    assert peak_memory_mb("cpu") is None


def test_every_stage_has_its_peak(recipe: Path) -> None:
    folder, _, _ = run(recipe)
    state = json.loads((folder / "state.json").read_text())
    assert all(record["peak_memory_mb"] > 50 for record in state.values())
