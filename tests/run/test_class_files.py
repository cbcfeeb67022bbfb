"""A recipe names only such files of class names as its author may have chosen to send."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.registry.registry import load_registry
from latte.run.ready import load_recipe_or_saved
from latte.run.workspace import run_folder
from tests.helpers.command_line import Latte
from tests.helpers.records import record
from tests.helpers.scripted_describer import Noting

PRIVATE = "machine one.example\nlogin me\nsecret-3141 hunter2\n"
NAMES = "red\ngreen\nblue\n"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    path = tmp_path / "private.txt"
    path.write_text(PRIVATE)
    return path


@pytest.fixture
def asking(recipe: Path, noting: Noting) -> Path:
    """A recipe in the folder `shared` that asks a describer about each class in CLASSES."""
    text = recipe.read_text().replace("phrases", "noting").replace("root: ", "root: ../")
    text = text.replace("  evaluation: test\n", "").replace("[red, green, blue]", "CLASSES")
    text = text.replace("- image\n", '- {use: image, prompt: "Is it like a {class}?"}\n')
    moved = recipe.parent / "shared" / recipe.name
    moved.parent.mkdir()
    moved.write_text(text)
    return moved


def naming(recipe: Path, classes: str | Path) -> Path:
    recipe.write_text(recipe.read_text().replace("CLASSES", str(classes)))
    return recipe


@pytest.mark.parametrize("command", ["run", "describe", "check"])
@pytest.mark.parametrize("way", ["absolute", "dots", "link", "variable"])
def test_lines_of_a_private_file_are_not_sent(
    asking: Path,
    noting: Noting,
    latte: Latte,
    private: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    command: str,
) -> None:
    monkeypatch.setenv("CREDENTIALS", str(private))
    (asking.parent / "link.txt").symlink_to(private)
    ways = {"absolute": str(private), "dots": "../private.txt", "link": "link.txt"}
    recipe = naming(asking, ways.get(way, "${CREDENTIALS}"))
    printed = latte(command, recipe, code=2)
    assert not noting.log.exists()
    assert f"{recipe}:4" in printed.err and "dataset.classes" in printed.err
    assert "--set dataset.classes=" in printed.err
    assert "hunter2" not in printed.out + printed.err


def test_files_beside_the_recipe_below_root_or_on_the_command_line_are_read(
    asking: Path, noting: Noting, latte: Latte, private: Path, tmp_path: Path
) -> None:
    for folder in (asking.parent, tmp_path / "images"):
        (folder / "names.txt").write_text(NAMES)
    recipe, text = naming(asking, "names.txt"), asking.read_text()
    latte("describe", recipe)
    assert any("like a red" in request for request in noting.asked)
    latte("check", recipe, "--set", "dataset.classes=../images/names.txt")
    recipe.write_text(text.replace("names.txt", "../images/names.txt"))
    latte("check", recipe)
    latte("check", recipe, "--set", f"dataset.classes={private}")
    latte("check", recipe, "--set", "controls={one: {dataset: {classes: ../private.txt}}}")
    recipe.write_text(f"{text}controls: {{one: {{dataset: {{classes: ../private.txt}}}}}}\n")
    assert "dataset.classes" in latte("check", recipe, code=2).err


def test_a_run_folder_names_no_private_file(
    asking: Path, latte: Latte, private: Path, tmp_path: Path
) -> None:
    names = asking.with_name("names.txt")
    names.write_text(NAMES)
    recipe = naming(asking, "names.txt")
    latte("run", recipe, "--until", "data")
    folder = run_folder(load_recipe_or_saved(recipe, load_registry(), ()), None)
    latte("check", folder.recipe)
    (tmp_path / "home").mkdir()
    private.rename(tmp_path / "home" / "private.txt")
    folder.recipe.write_text(folder.recipe.read_text().replace("names.txt", private.name))
    record(folder.path, ("source", "recipe"), str(tmp_path / "home" / "r.yaml"))
    assert "dataset.classes" in latte("check", folder.recipe, code=2).err
    latte("check", folder.recipe, "--set", f"dataset.classes={names}")


def test_check_lists_what_is_sent_and_where(
    recipe: Path, latte: Latte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    (tmp_path / "names.txt").write_text(NAMES)
    recipe.write_text(recipe.read_text().replace("[red, green, blue]", "names.txt"))
    assert "sends to" not in latte("check", recipe).err
    far = "describer={use: openai, base_url: 'https://192.0.2.1/v1', model: m}"
    logged = "reporters=[{use: wandb, mode: online}]"
    error_lines = latte("check", recipe, "--set", far, "--set", logged).err.splitlines()
    first_line = "the describer openai sends to https://192.0.2.1/v1:"
    start = error_lines.index(first_line)
    assert error_lines[start : start + 5] == [
        first_line,
        f"  12 training images in {tmp_path / 'images'}",
        f"  the class names in {tmp_path / 'names.txt'}",
        "the reporter wandb sends to https://api.wandb.ai:",
        f"  the recipe {recipe}, with every default, and the metrics of the run",
    ]


def test_check_tells_the_most_questions_about_images(recipe: Path, latte: Latte) -> None:
    pytest.importorskip("latte_questions")
    settings = (
        "describer={use: openai, base_url: 'https://192.0.2.1/v1', model: m}",
        "labels=[{use: choices}]",
        "budget=40",
    )
    for descriptions, begin in (
        ("[class]", "  at most 40 questions about 12"),
        ("[image]", "  12"),
    ):
        options = [
            part
            for setting in (*settings, f"descriptions={descriptions}")
            for part in ("--set", setting)
        ]
        lines = latte("check", recipe, *options).err.splitlines()
        start = lines.index("the describer openai sends to https://192.0.2.1/v1:")
        assert lines[start + 1].startswith(f"{begin} training images in ")
