"""Files that the review page writes beside the photos equal those of the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from latte.cli.finishing import beside
from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.interfaces.progress import SilentProgress
from latte.registry.registry import load_registry
from latte.run.reopen import training_images

pytestmark = pytest.mark.thorough


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, by path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def by_class(folder: Path) -> list[tuple[str, bytes]]:
    """Return folder and content of each photo; names of equally named photos depend on order."""
    return sorted((Path(path).parts[0], content) for path, content in files(folder).items())


def latte(*arguments: str | Path) -> None:
    assert run_command_line([*map(str, arguments)]) == 0


def test_photos_by_class_and_table_are_those_of_predict_and_export(
    colour_images: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = colour_images(per_class=6)
    monkeypatch.chdir(tmp_path)
    latte("adapt", photos, "--model", "plugin:tiny", "--quiet")
    (run,) = (path.parent for path in Path("adapted").glob("*/pseudo_labels.csv"))
    before = files(photos)
    outputs = beside(training_images(run, load_registry(), SilentProgress()))

    folder, table = outputs.write(run, "sorted"), outputs.write(run, "labels")
    assert (folder, table) == (
        photos.with_name(f"{photos.name}-sorted"),
        photos.with_name(f"{photos.name}-labels.csv"),
    )
    latte("predict", run, photos, "--sort-into", "sorted", "--output", "rows.csv", "--quiet")
    latte("export", run, "--format", "csv", "--output", "labels.csv")
    assert by_class(folder) == by_class(Path("sorted"))
    assert table.read_bytes() == Path("labels.csv").read_bytes()
    assert files(photos) == before

    with pytest.raises(LatteError, match="something is here already"):
        outputs.write(run, "sorted")


def test_a_photo_that_cannot_be_read_leaves_no_folder(
    colour_images: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = colour_images(per_class=6)
    monkeypatch.chdir(tmp_path)
    latte("adapt", photos, "--model", "plugin:tiny", "--quiet")
    (run,) = (path.parent for path in Path("adapted").glob("*/pseudo_labels.csv"))
    images = training_images(run, load_registry(), SilentProgress())
    images[-1].path.unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LatteError):
        beside(images).write(run, "sorted")
    assert sorted(tmp_path.iterdir()) == before
