"""The lock of a run folder removes temporary files; a finished run is moved to another folder."""

from __future__ import annotations

from pathlib import Path

from latte.results.folder import RunFolder

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
    for path in (folder.recipe, folder.review, previous.recipe, previous.review):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(path))
    folder.move_aside(wanted=True)
    assert [path.name for path in folder.path.iterdir()] == ["review.jsonl"]
    assert previous.recipe.read_text() == str(folder.recipe)
    assert previous.review.read_text() == str(previous.review)


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
