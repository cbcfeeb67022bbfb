"""Loading a recipe as a whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latte.interfaces import LatteError, RecipeErrors
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry
from tests.helpers.recipes import FIVE_MISTAKES, MINIMAL, TRAINING, Load


def test_a_missing_file_suggests_the_nearest(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "latteclip.yaml").write_text(MINIMAL)
    (tmp_path / "latteclip.txt").write_text(MINIMAL)
    for wrong in ("lateclip.yaml", "latteclip", "latteclip.yml"):
        with pytest.raises(LatteError, match="there is no such file") as caught:
            load_recipe(tmp_path / wrong, registry)
        assert caught.value.hint == f'Did you mean "{tmp_path / "latteclip.yaml"}"?'


def test_a_missing_suffix_is_suggested_before_a_shipped_recipe(
    tmp_path: Path, registry: Registry
) -> None:
    (tmp_path / "sat.yaml").write_text(MINIMAL)
    with pytest.raises(LatteError, match="there is no such file") as caught:
        load_recipe(tmp_path / "sat", registry)
    assert caught.value.hint == f'Did you mean "{tmp_path / "sat.yaml"}"?'


def test_a_missing_folder_is_an_error(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(LatteError, match=r"the folder .* does not exist"):
        load_recipe(tmp_path / "nowhere" / "r.yaml", registry)


def test_a_folder_as_recipe_is_an_error(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(LatteError, match="cannot be read"):
        load_recipe(tmp_path, registry)


def test_the_environment_of_the_process_is_the_default(
    load: Load, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(MINIMAL + "output: ${LATTE_TEST_OUTPUT:-runs}\n")
    monkeypatch.setenv("LATTE_TEST_OUTPUT", "elsewhere")
    assert load_recipe(Path("r.yaml"), registry).output == "elsewhere"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my run.yaml", "my-run"),
        ("a.b.yaml", "a.b"),
        ("Größe.yaml", "Groesse"),
        ("石.yaml", "recipe"),
    ],
)
def test_the_default_name_is_that_of_the_file(
    tmp_path: Path, registry: Registry, file: str, name: str
) -> None:
    path = tmp_path / file
    path.write_text(MINIMAL)
    recipe = load_recipe(path, registry)
    assert recipe.name == recipe.resolved["name"] == name
    assert recipe.base_dir == tmp_path


def test_five_mistakes_are_reported_together(load: Load) -> None:
    with pytest.raises(RecipeErrors) as caught:
        load(FIVE_MISTAKES)
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        'r.yaml:2 dataset.use: no dataset named "foldr" is installed\n'
        '  Did you mean "folder" (latte-clip 0.1)?\n'
        "  All names: latte components dataset\n"
        'r.yaml:5 descriptions.image.promt: unknown key "promt"\n'
        '  Did you mean "prompt"? All keys here: prompt, samples, weight, use, name, by.\n'
        'r.yaml:10 train.batch_size: expected a whole number, got the text "512"\n'
        "  Remove the quotes: 512\n"
        'r.yaml:11 train.learning_rate: unknown key "learning_rate"\n'
        "  It belongs to train.optimizer.\n"
        "r.yaml:12 train.warmup_steps: must be at least 0, got -1"
    )


COMPONENTS_OF = (
    (MINIMAL, "datasets.local latteclip prototypes trainable"),  # three are of defaults
    (MINIMAL + "gates: [refusal]\n", "datasets.local gates latteclip prototypes trainable"),
    (TRAINING, "datasets.local latteclip phrases trainable"),
)
"""Recipes, and the modules of the components that checking them imports."""
CHECKED_IN_A_FORK = """
import os, pathlib, sys
import torch  # once for all recipes
from latte.recipe.dump import dump_yaml
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry

for recipe in sys.argv[1:]:
    if os.fork():
        assert os.wait()[1] == 0
        continue
    dump_yaml(load_recipe(pathlib.Path(recipe), load_registry()).resolved)
    inner = [name for name in sys.modules if name.startswith("latte.components.")]
    print(*sorted(name.removeprefix("latte.components.") for name in inner), flush=True)
    assert "open_clip" not in sys.modules
    os._exit(0)
"""


def test_checking_imports_only_the_components_of_the_recipe(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.yaml" for number in range(len(COMPONENTS_OF))]
    for path, (text, _) in zip(paths, COMPONENTS_OF, strict=True):
        path.write_text(text + "reporters: []\n")
    environment = {"LATTE_PLUGINS": "", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-c", CHECKED_IN_A_FORK, *paths]
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    imported = [line.removeprefix("datasets ") for line in checked.stdout.splitlines()]
    assert imported == [modules for _, modules in COMPONENTS_OF]
