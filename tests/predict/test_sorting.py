"""Images sorted into one folder per class."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from latte.evaluate.predictions import NO_LABEL, NONE_OF_THESE, ClassScore, Prediction
from latte.interfaces import LatteError
from latte.predict.sorting import Sorter, refuse_inside

CLASSES = ("cat", "a/b", "unknown")


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def predicted(path: Path, label: int, score: float = 0.9) -> Prediction:
    name = NONE_OF_THESE if label == NO_LABEL else CLASSES[label]
    return Prediction(str(path), (ClassScore(name, score, label),))


def sort(sorter: Sorter, *rows: Prediction) -> Sorter:
    assert list(sorter.write(rows)) == list(rows)
    return sorter


def tree(folder: Path) -> dict[str, str]:
    """Return the content of all files by relative path, hidden files included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("1.jpg", "2.jpg", "3.jpg", "sub/1.jpg", "again/1.jpg"):
        write(tmp_path / "photos" / name, name.removeprefix("again/"))
    return tmp_path / "photos"


@pytest.fixture
def rows(photos: Path) -> list[Prediction]:
    return [
        predicted(photos / "1.jpg", 0),
        predicted(photos / "2.jpg", 1),
        predicted(photos / "3.jpg", 2),
        predicted(photos / "sub/1.jpg", 0),
        predicted(photos / "again/1.jpg", 0),
    ]


def test_every_class_has_a_folder_and_equal_names_stay_apart(
    rows: list[Prediction], photos: Path, tmp_path: Path
) -> None:
    photos_before = tree(photos)
    sorter = sort(Sorter(tmp_path / "out", CLASSES), *rows)
    sorted_files = tree(tmp_path / "out")
    (renamed,) = {name for name in sorted_files if name.startswith("cat/1-")}
    assert sorted_files == {
        "cat/1.jpg": "1.jpg",
        renamed: "sub/1.jpg",
        "a_b/2.jpg": "2.jpg",
        "unknown-2/3.jpg": "3.jpg",
    }
    assert tree(photos) == photos_before
    assert sorter.summary().endswith(": 5 by class, 0 unknown, 0 uncertain; 1 were there already")


@pytest.mark.parametrize("link", [False, True])
def test_images_in_the_folder_of_another_class_are_counted(
    rows: list[Prediction], photos: Path, tmp_path: Path, link: bool
) -> None:
    sort(Sorter(tmp_path / "out", CLASSES, link=link), *rows)
    lines: list[str] = []
    sorter = Sorter(tmp_path / "out", CLASSES, link=link, warn=lines.append)
    misplaced = [predicted(photos / "2.jpg", 0), predicted(photos / "sub/1.jpg", NO_LABEL)]
    equal_name_other_content = predicted(write(tmp_path / "new/2.jpg", "new"), 0)
    sort(sorter, rows[0], *misplaced, equal_name_other_content)
    assert sorter.elsewhere == 2
    assert sorter.summary().endswith("1 were there already; 2 are in another sub-folder, too")
    (line,) = lines
    assert line.startswith(f"warning: {tmp_path / 'out' / 'a_b' / '2.jpg'}: an earlier sorting")
    assert "sort into a new folder" in line


def test_sorting_again_changes_nothing(rows: list[Prediction], tmp_path: Path) -> None:
    sort(Sorter(tmp_path / "out", CLASSES), *rows)
    first_sorting = tree(tmp_path / "out")
    assert sort(Sorter(tmp_path / "out", CLASSES), *rows).present == 5
    assert tree(tmp_path / "out") == first_sorting


def test_interrupted_sorting_ends_with_the_same_files(
    rows: list[Prediction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sort(Sorter(tmp_path / "whole", CLASSES), *rows)
    real = Path.hardlink_to
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended_process = ended.pid
    for allowed in range(4):
        out = tmp_path / f"out-{allowed}"
        renamed: list[Path] = []

        def killed(
            path: Path, temporary: Path, allowed: int = allowed, log: list[Path] = renamed
        ) -> None:
            if len(log) == allowed:
                raise KeyboardInterrupt
            log.append(path)
            real(path, temporary)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "hardlink_to", killed)
            # SIGKILL removes no temporary file, so the file that `finally` removes is kept.
            patch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
            patch.setattr(os, "getpid", lambda: ended_process)
            with pytest.raises(KeyboardInterrupt):
                sort(Sorter(out, CLASSES), *rows)
        assert list(out.rglob(".*.tmp"))
        sort(Sorter(out, CLASSES), *rows)
        assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.parametrize("has_hard_links", [True, False])
@pytest.mark.parametrize("link", [False, True])
def test_two_sorters_at_once_keep_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool, has_hard_links: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not has_hard_links:
        monkeypatch.setattr(os, "link", refuse)
    pairs = {"1.jpg": ("of a", "of b"), "2.jpg": ("same", "same")}
    own_predictions, other_predictions = [
        [predicted(write(tmp_path / who / name, names[place]), 0) for name, names in pairs.items()]
        for place, who in enumerate("ab")
    ]
    sorter, other_sorter = (Sorter(tmp_path / "out", CLASSES, link=link) for _ in range(2))
    exists = os.path.lexists

    def other_sorter_comes_first(path: str) -> bool:
        """The other sorter places its images after the check, and before the first one writes."""
        does_exist = exists(path)
        if other_predictions and Path(path).is_relative_to(tmp_path / "out"):
            sort(other_sorter, other_predictions.pop(0))
        return does_exist

    monkeypatch.setattr(os.path, "lexists", other_sorter_comes_first)
    sort(sorter, own_predictions[0])
    sort(sorter, own_predictions[1])
    assert sorted(tree(tmp_path / "out").values()) == ["of a", "of b", "same"]
    assert (sorter.present, other_sorter.present) == (1, 0)


def test_existing_files_are_never_overwritten(rows: list[Prediction], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out / "cat" / "1.jpg", "mine")
    (out / "a_b" / "2.jpg").mkdir(parents=True)
    sort(Sorter(out, CLASSES), rows[0], rows[1])
    files = tree(out)
    assert files["cat/1.jpg"] == "mine"
    assert sorted(files.values()) == ["1.jpg", "2.jpg", "mine"]


def test_unknown_and_uncertain_images_have_their_own_folders(photos: Path, tmp_path: Path) -> None:
    rows = [
        predicted(photos / "1.jpg", NO_LABEL, 0.2),
        predicted(photos / "2.jpg", 0, 0.49),
        predicted(photos / "3.jpg", 0, 0.5),
    ]
    sorter = sort(Sorter(tmp_path / "out", CLASSES, min_confidence=0.5), *rows)
    assert set(tree(tmp_path / "out")) == {"unknown/1.jpg", "uncertain/2.jpg", "cat/3.jpg"}
    assert "1 by class, 1 unknown, 1 uncertain" in sorter.summary()


def test_links_lead_to_the_images(
    rows: list[Prediction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = [Prediction(os.path.relpath(row.image), row.classes) for row in rows]
    for _ in range(2):
        sort(Sorter(tmp_path / "out", CLASSES, link=True), *relative)
    links = [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert len(links) == 4
    assert (tmp_path / "out" / "cat" / "1.jpg").resolve() == Path(rows[0].image).resolve()
    # A copy has the same content as the link, so nothing is added.
    assert sort(Sorter(tmp_path / "out", CLASSES), *rows).present == 5


def test_long_file_names_are_shortened(tmp_path: Path) -> None:
    image = write(tmp_path / ("ü" * 125 + ".jpg"), "long")
    sort(Sorter(tmp_path / "out", CLASSES), predicted(image, 0))
    ((name, content),) = tree(tmp_path / "out").items()
    assert content == "long"
    assert name.startswith("cat/üü")
    assert name.endswith("ü.jpg")


def test_link_that_leads_out_of_the_folder_is_refused(
    rows: list[Prediction], photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat").symlink_to(photos)
    photos_before = tree(photos)
    with pytest.raises(LatteError, match="leads out of the folder"):
        sort(Sorter(tmp_path / "out", CLASSES), rows[0])
    assert tree(photos) == photos_before


def test_folder_that_cannot_be_made_is_an_error(rows: list[Prediction], tmp_path: Path) -> None:
    write(tmp_path / "out" / "cat", "a file")
    with pytest.raises(LatteError, match="cannot be sorted: File exists"):
        sort(Sorter(tmp_path / "out", CLASSES), rows[0])


def test_folder_inside_the_images_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    for inside in (photos, photos / "out", photos / "sub" / ".." / "x", tmp_path / "link" / "out"):
        with pytest.raises(LatteError, match="is inside"):
            refuse_inside(inside, str(photos))
    refuse_inside(tmp_path / "photos-sorted", str(photos))
    refuse_inside(tmp_path, str(photos / "1.jpg"))
    with pytest.raises(LatteError, match="a file, not a folder"):
        refuse_inside(photos / "1.jpg", str(tmp_path / "other"))
