"""Two folders are exchanged, and a name that a killed process left empty gets its folder back."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.io.exchange import exchange_folders, finish_exchange

_EXCHANGED = "latte.io.exchange._exchanged"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders, each with a file that has the folder's name."""
    pair = tmp_path / "run", tmp_path / "aside" / "copy"
    for folder in pair:
        folder.mkdir(parents=True)
        (folder / folder.name).touch()
    return pair


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("in_one_step", [True, False])
def test_folders_are_exchanged(
    folders: tuple[Path, Path], in_one_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_one_step:
        monkeypatch.setattr(_EXCHANGED, lambda folder, other_folder: False)
    run, copy = folders
    exchange_folders(run, copy)
    assert (names(run), names(copy), names(copy.parent)) == (["copy"], ["run"], ["copy"])


def test_a_folder_that_cannot_be_exchanged_is_an_error_and_stays(
    folders: tuple[Path, Path],
) -> None:
    run, copy = folders
    with pytest.raises(OSError):
        exchange_folders(run, copy.with_name("missing"))
    finish_exchange(run, copy.with_name("missing"))
    assert names(run) == ["run"]


def test_a_folder_that_a_killed_process_moved_comes_back(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, copy = folders
    monkeypatch.setattr(_EXCHANGED, lambda folder, other_folder: False)
    with monkeypatch.context() as killed:
        rename = Path.rename

        def rename_once(path: Path, target: Path) -> Path:
            killed.setattr(Path, "rename", lambda *_: pytest.fail("killed"))
            return rename(path, target)

        killed.setattr(Path, "rename", rename_once)
        with pytest.raises(pytest.fail.Exception):
            exchange_folders(run, copy)
    assert not run.exists()
    finish_exchange(run, copy)
    assert names(run) == ["run"]
