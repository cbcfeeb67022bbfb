"""A small recipe to sweep over, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from tests.helpers.command_line_runs import Latte, Said
from tests.run.conftest import RECIPE


@pytest.fixture
def latte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Latte:
    """Run `latte ARGUMENTS` in `tmp_path`; fails the test unless it ends with `code`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str | Path, code: int = 0) -> Said:
        capsys.readouterr()
        ended = run_command_line([str(one) for one in arguments])
        captured = capsys.readouterr()
        assert ended == code, captured.out + captured.err
        return Said(captured.out, captured.err)

    return call


@pytest.fixture
def squares(tmp_path: Path, colour_images: Callable[..., Path], tiny_clip_folder: Path) -> Path:
    """A recipe with 6 training and 6 labelled test images of three colours."""
    colour_images(per_class=2)
    colour_images(per_class=2, size=(38, 38), folder="test")
    path = tmp_path / "squares.yaml"
    path.write_text(RECIPE.format(clip=tiny_clip_folder))
    return path
