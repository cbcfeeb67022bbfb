"""Measurements change settings of the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import describe, gpu, loader, measuring, step


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    threads = torch.get_num_threads()
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    for module in (gpu, loader, measuring):
        monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    for module in (describe, step):
        monkeypatch.setattr(module, "peak_rate", lambda dtype, device: 1e9)
    yield
    torch.set_num_threads(threads)
