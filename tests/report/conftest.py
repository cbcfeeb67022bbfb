"""Fixture of the tests of reports that name commands."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder_above_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the folder above that of the run, so that commands name the run folder alone."""
    monkeypatch.chdir(tmp_path)
