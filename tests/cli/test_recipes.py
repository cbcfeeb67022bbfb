"""`latte recipes`, and shipped recipes by name in other commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.recipe.load import load_recipe
from latte.recipe.shipped import shipped_path
from latte.registry.registry import load_registry
from latte.run.workspace import run_folder

Latte = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def latte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Latte:
    """Run `latte ARGUMENTS` in an empty folder; returns code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(arguments: str) -> tuple[int, str, str]:
        code = run_command_line(shlex.split(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_ls_lists_recipes_by_folder_with_summaries(latte: Latte) -> None:
    code, out, _ = latte("recipes ls")
    lines = out.splitlines()
    assert code == 0
    assert "  flyp/sun397         FLYP without labels on SUN397" in map(str.rstrip, lines)
    assert lines.index("recipes") < lines.index("flyp") < lines.index("zero-shot")
    assert "parts/" not in out
    assert "paper" not in lines
    assert "parts/latteclip" in latte("recipes ls --all")[1]
    assert max(map(len, lines)) <= 80


def test_show_prints_the_file_or_the_resolved_recipe(latte: Latte) -> None:
    path = shipped_path("demo")
    assert path is not None
    assert latte("recipes show demo")[1] == path.read_text()
    resolved = latte("recipes show demo --resolved")[1]
    Path("whole.yaml").write_text(resolved)
    reloaded, recipe = (load_recipe(file, load_registry()) for file in (Path("whole.yaml"), path))
    assert reloaded.resolved == recipe.resolved
    assert run_folder(reloaded, None) == run_folder(recipe, None)


def test_show_resolved_refuses_parts(latte: Latte) -> None:
    assert "extends: parts/published" in latte("recipes show parts/latteclip")[1]
    code, _, err = latte("recipes show parts/latteclip --resolved")
    assert code == 2
    assert "is a part of recipes, and not a complete recipe" in err


def test_an_unknown_recipe_suggests_the_nearest(latte: Latte) -> None:
    for command in ("show", "copy"):
        code, _, err = latte(f"recipes {command} sun39")
        assert (code, 'Did you mean "sun397"?' in err) == (2, True)


def test_a_copied_recipe_still_finds_its_bases(latte: Latte) -> None:
    assert latte("recipes copy flyp/sun397")[0] == 0
    registry = load_registry()
    copy = load_recipe(Path("flyp-sun397.yaml"), registry)
    path = shipped_path("flyp/sun397")
    assert path is not None
    assert copy.resolved == load_recipe(path, registry).resolved
    Path("folder").mkdir()
    assert "wrote folder/demo.yaml" in latte("recipes copy demo folder")[1]


def test_copy_overwrites_only_with_force(latte: Latte) -> None:
    Path("mine.yaml").write_text("seed: 1\n")
    code, _, err = latte("recipes copy demo mine.yaml")
    assert (code, "mine.yaml: exists already" in err) == (2, True)
    assert Path("mine.yaml").read_text() == "seed: 1\n"
    assert latte("recipes copy demo mine.yaml --force")[0] == 0
    assert "extends: parts/tiny-tuning" in Path("mine.yaml").read_text()
    assert latte("recipes copy demo new/mine.yaml")[0] == 0
    assert latte("recipes copy demo mine.yaml/demo.yaml")[0] == 2


def test_a_shipped_recipe_is_found_by_name_and_its_file_printed(latte: Latte) -> None:
    code, out, err = latte("check demo")
    assert (code, "\nname: demo" in out) == (0, True)
    assert f"recipe: {shipped_path('demo')}, which comes with latte" in err
    code, out, _ = latte("sweep zero-shot flyp/eurosat --dry-run")
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_file_precedes_a_shipped_recipe_of_the_same_name(latte: Latte) -> None:
    Path("demo").write_text("extends: zero-shot\n")
    _, out, err = latte("check demo")
    assert "max_steps: 0" in out
    assert "comes with latte" not in err
    code, _, err = latte("check dmo")
    assert (code, "Did you mean" in err) == (2, True)


def test_an_absent_recipe_suggests_only_recipes_that_run(latte: Latte) -> None:
    """Parts that recipes extend do not run alone."""
    code, _, err = latte("check latteclip")
    assert (code, "parts/" in err) == (2, False)
    assert "latte recipes ls" in err
    code, _, err = latte("check nothing-like-it")
    assert (code, "All recipes that come with latte: latte recipes ls" in err) == (2, True)
