"""A finished run whose training images or class names change afterwards."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from tests.helpers.command_line import Latte

pytestmark = pytest.mark.thorough


def add_image() -> None:
    source = Path("images/part-0/000.jpg")
    count = len([*source.parent.iterdir()])
    source.with_name(f"added-{count}.jpg").write_bytes(source.read_bytes() + bytes(count))


def files_of(folder: Path, *left_out: str) -> dict[str, bytes]:
    """Return the content of the files below `folder`, except those named `left_out`."""
    files = ((path.relative_to(folder), path) for path in folder.rglob("*") if path.is_file())
    return {str(name): path.read_bytes() for name, path in files if name.parts[0] not in left_out}


def test_finished_run_is_moved_aside_before_its_images_change(recipe: Path, latte: Latte) -> None:
    latte("run", recipe, "--quiet")
    (folder,) = Path("runs").iterdir()
    previous = folder.with_name(f"{folder.name}.previous")
    (folder / "review.jsonl").touch()
    not_moved = (".lock", "review.jsonl", "checkpoints")
    for _ in range(2):
        earlier_files = files_of(folder, *not_moved)
        answers = latte("predict", folder, "test", "--quiet").out
        add_image()
        printed = latte("run", recipe)
        assert f"its results are moved to {previous}" in " ".join(printed.err.split())
        assert f"previous\tlatte predict {previous} IMAGES" in printed.out.splitlines()
        assert files_of(previous) == earlier_files
        assert (folder / "review.jsonl").exists()
        assert files_of(folder, *not_moved).keys() == earlier_files.keys()
    assert latte("predict", previous, "test", "--quiet").out == answers
    latte("compare", previous, folder, "--csv", "table.csv")
    assert previous.name in Path("table.csv").read_text()
    latte("compare", "runs", "--csv", "table.csv")
    assert folder.name in Path("table.csv").read_text()
    assert previous.name not in Path("table.csv").read_text()


@pytest.mark.parametrize("command", ["report", "evaluate"])
def test_changed_class_file_is_named_and_not_called_damage(
    recipe: Path, latte: Latte, command: str
) -> None:
    names = Path("names.txt")
    names.write_text("red\ngreen\nblue\n")
    latte("run", recipe, "--quiet", "--set", "dataset.classes=names.txt")
    (folder,) = Path("runs").iterdir()
    names.write_text("red\ngreen\nviolet\nblue\n")
    error_output = latte(command, folder, "--quiet", code=2).err
    assert error_output.startswith(
        "error: names.txt: the class names have changed since this run\n"
    )
    assert f"make the run again: latte run {folder}/recipe.yaml" in " ".join(error_output.split())
    latte("run", folder / "recipe.yaml", "--quiet")
    latte(command, folder, "--quiet")


def test_report_names_added_images_and_does_not_call_them_damage(
    recipe: Path, latte: Latte
) -> None:
    latte("run", recipe, "--quiet", "--limit", "12")
    (folder,) = Path("runs").iterdir()
    Path("images/part-0/000.jpg").unlink()
    error_output = " ".join(latte("report", folder, "--quiet", code=2).err.split())
    assert error_output.startswith(
        f"error: {folder.absolute()}: the images have changed since this run "
    )
    assert error_output.endswith(f"make the run again: latte run {folder}/recipe.yaml --limit 12")
    latte("evaluate", folder, "--quiet")


def test_interrupted_move_of_a_finished_run_is_completed(recipe: Path, latte: Latte) -> None:
    latte("run", recipe, "--quiet")
    (folder,) = Path("runs").iterdir()
    not_moved = (".lock", "checkpoints")
    earlier_files, moves, rename = files_of(folder, *not_moved), count(1), Path.rename
    add_image()

    def renamed(path: Path, to: Path) -> Path:
        if next(moves) == 4:
            raise KeyboardInterrupt
        return rename(path, to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", renamed)
        latte("run", recipe, "--quiet", code=130)
    latte("run", recipe, "--quiet")
    assert files_of(folder.with_name(f"{folder.name}.previous")) == earlier_files
    assert not folder.with_name(f"{folder.name}.moving").exists()
