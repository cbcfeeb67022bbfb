from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from latte.data.compiled_views import compiled_views


@pytest.mark.slow
def test_the_loader_benchmark_checks_its_bits_and_prints_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "loader", "--images", "6", "--rounds", "2"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for word in (
        "plain",
        "published",
        "latte, compiled" if compiled_views() else "latte-views is not installed or not used",
        "images/s",
        "MiB for 6 images",
        "peak memory",
    ):
        assert word in done.stdout
