"""A run folder works at a new place if its images were moved with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command_line import Latte

pytestmark = pytest.mark.thorough


@pytest.fixture
def moved(recipe: Path, latte: Latte, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recipe, images and `runs`, which was moved after the run."""
    project = recipe.parent / "project"
    (project / "recipes").mkdir(parents=True)
    for name in ("images", "test"):
        (recipe.parent / name).rename(project / name)
    text = recipe.read_text()
    for name in ("images", "test"):
        assert f": {name}\n" in text
        text = text.replace(f": {name}\n", f": ../{name}\n")
    (project / "recipes" / recipe.name).write_text(text)
    monkeypatch.chdir(project)
    latte("run", f"recipes/{recipe.name}", "--quiet")
    monkeypatch.chdir(recipe.parent)
    monkeypatch.setattr("uvicorn.Server.run", lambda *arguments, **options: None)
    return project.rename(recipe.parent / "elsewhere")


def commands(run: Path) -> Iterator[list[str | Path]]:
    """Yield the commands that read the images of a run."""
    yield ["report", run, "--quiet"]
    yield ["evaluate", run]
    yield ["review", run, "--no-open"]
    yield ["export", run, "--format", "imagefolder", "--output", "labels"]


def test_run_and_images_that_moved_together_need_no_repair(moved: Path, latte: Latte) -> None:
    (run,) = (moved / "runs").iterdir()
    for command in commands(run):
        latte(*command)


def test_run_that_moved_alone_finds_its_images_at_their_place(moved: Path, latte: Latte) -> None:
    back = moved.rename(moved.parent / "project")
    (run,) = (back / "runs").iterdir()
    for command in commands(run.rename(moved.parent / "run")):
        latte(*command)


def test_missing_images_are_an_error_that_names_the_repair(moved: Path, latte: Latte) -> None:
    (moved / "images").rename(moved / "pictures")
    (moved / "image").mkdir()
    (run,) = (moved / "runs").iterdir()
    for command in commands(run):
        error_output = latte(*command, code=2).err
        assert "no such folder" in error_output
        assert "repeat the command that made this run (latte adapt or latte run)" in error_output
        assert "Did you mean" not in error_output
