"""A small recipe to sweep over, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command_line import Latte, latte_in_process
from tests.helpers.squares import RECIPE


@pytest.fixture
def latte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Latte:
    """Run `latte ARGUMENTS` in `tmp_path`; fails the test unless it ends with `code`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    return latte_in_process(capsys)


@pytest.fixture
def squares(tmp_path: Path, colour_images: Callable[..., Path], tiny_clip_folder: Path) -> Path:
    """A recipe with 6 training and 6 labelled test images of three colours."""
    colour_images(per_class=2)
    colour_images(per_class=2, size=(38, 38), folder="test")
    path = tmp_path / "squares.yaml"
    path.write_text(RECIPE.format(clip=tiny_clip_folder))
    return path
