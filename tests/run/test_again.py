"""A run that is made again takes the place of the earlier one when it is complete."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from latte.results.answers import Answer, append_answers, now
from latte.results.folder import RunFolder
from latte.results.run import Run, open_finished
from tests.helpers.command_line import Latte

pytestmark = pytest.mark.thorough

SETTINGS = (
    *("labels=[self-taught]", "prototypes=from-labeler", "train.max_steps=0"),
    *("describer=null", "descriptions=[]", "loss=null", "dataset.evaluation=null"),
)
BLUE = 2


@pytest.fixture
def reviewed(recipe: Path, latte: Latte) -> Run:
    """A run with two answers, which have taught another run."""
    latte("run", recipe, *(word for setting in SETTINGS for word in ("--set", setting)), "--quiet")
    (folder,) = Path("runs").iterdir()
    run = open_finished(folder)
    answer(run, "red", 0)
    answer(run, "green", 4)
    latte("review", folder, "--learn")
    return run


def answer(run: Run, label: str, row: int) -> None:
    key = run.rows.training_keys[row]
    append_answers(run.folder.review, [Answer(key, "class", label, "images", "", now())])


def taught_folder(reviewed: Run) -> RunFolder:
    folders = [path for path in Path("runs").glob("squares-*") if path.suffix != ".previous"]
    (folder,) = (path for path in folders if path.name != reviewed.folder.path.name)
    return RunFolder(folder)


def labels(folder: Path) -> tuple[int, ...]:
    return open_finished(folder).rows.pseudo_labels.adapted


def test_a_failure_leaves_the_earlier_run_as_it_was(
    reviewed: Run, latte: Latte, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = taught_folder(reviewed)
    files = {path: path.read_bytes() for path in taught.path.rglob("*") if path.is_file()}
    answer(reviewed, "blue", 8)
    with monkeypatch.context() as full:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/full")
        full.setattr("latte.run.plan.evaluate", lambda *_: (_ for _ in ()).throw(error))
        assert "no space left" in latte("review", reviewed.folder.path, "--learn", code=2).err
    assert {path: path.read_bytes() for path in files} == files
    latte("review", reviewed.folder.path, "--learn")
    assert labels(taught.path)[8] == BLUE
    assert not (Path("runs") / ".again").exists()


def test_the_earlier_run_is_kept_if_its_images_have_changed(
    reviewed: Run, latte: Latte, recipe: Path
) -> None:
    taught = taught_folder(reviewed)
    earlier_labels = labels(taught.path)
    (taught.path / "notes.txt").write_text("mine")
    image = min((recipe.parent / "images").rglob("*.*g"))
    shutil.copyfile(image, image.with_name(f"new{image.suffix}"))
    answer(reviewed, "blue", 8)
    latte("review", reviewed.folder.path, "--learn")
    assert len(labels(taught.path)) == len(earlier_labels) + 1
    assert labels(taught.previous) == earlier_labels
    assert (taught.path / "notes.txt").read_text() == "mine"
