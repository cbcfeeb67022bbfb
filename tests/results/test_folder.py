"""The lock of a run folder removes temporary files; a finished run is moved to another folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.results.folder import RunFolder, open_no_link

TEMPORARY = ".x.latte-elsewhere-1-0123abcd.tmp"
LEFT = (TEMPORARY, f"model/{TEMPORARY}", f"controls/plain/c-1/{TEMPORARY}")
KEPT = ("state.tmp", f"shards/1-of-2/{TEMPORARY}", "report/index.html")


def test_lock_removes_temporary_files_except_those_of_shards(tmp_path: Path) -> None:
    for name in (*LEFT, *KEPT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with RunFolder(tmp_path).lock():
        pass
    assert not any((tmp_path / name).exists() for name in LEFT)
    assert all((tmp_path / name).exists() for name in KEPT)


def test_a_move_keeps_the_answers_about_the_run_that_it_replaces(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    previous = RunFolder(folder.previous)
    for path in (folder.recipe, folder.earlier_review, previous.recipe, previous.earlier_review):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(path))
    folder.move_aside(wanted=True)
    assert [path.name for path in folder.path.iterdir()] == ["review.jsonl"]
    assert previous.recipe.read_text() == str(folder.recipe)
    assert previous.earlier_review.read_text() == str(previous.earlier_review)


def test_a_persons_own_files_stay_in_the_folder_of_the_previous_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    previous = RunFolder(folder.previous)
    notes, plots = previous.path / "notes.txt", previous.path / "plots" / "loss.png"
    for path in (folder.recipe, previous.recipe, previous.metrics, plots, notes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path))
    folder.move_aside(wanted=True)
    assert notes.read_text() == str(notes)
    assert plots.read_text() == str(plots)
    assert not previous.metrics.exists()


def test_a_move_replaces_no_file_of_a_person(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    previous = folder.previous
    for move in ("first", "second", "third"):
        for name in ("recipe.yaml", "notes.txt", "plots/loss.png"):
            (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.path / name).write_text(move)
        folder.move_aside(wanted=True)
    assert (previous / "recipe.yaml").read_text() == "third"
    notes = {path.name: path.read_text() for path in previous.glob("notes.txt*")}
    assert notes == {"notes.txt": "third", "notes.txt.1": "first", "notes.txt.2": "second"}
    plots = sorted(path.read_text() for path in previous.glob("plots*/loss.png"))
    assert plots == ["first", "second", "third"]


def test_no_file_is_opened_through_a_link(tmp_path: Path) -> None:
    private, link = tmp_path / "private", tmp_path / "link"
    private.write_text("a letter")
    link.symlink_to(private)
    for mode in ("a", "w", "r+b"):
        with (
            pytest.raises(OSError, match="symbolic links"),
            open(link, mode, opener=open_no_link),
        ):
            pass
    assert private.read_text() == "a letter"


def test_a_link_that_replaces_the_lock_of_a_locked_run_is_not_written_through(
    tmp_path: Path,
) -> None:
    folder, private = RunFolder(tmp_path / "run"), tmp_path / "private"
    private.write_text("a letter")
    with folder.lock():
        (folder.path / ".lock").unlink()
        (folder.path / ".lock").symlink_to(private)
        with pytest.raises(OSError, match="symbolic links"):
            folder.sign()
    assert private.read_text() == "a letter"
