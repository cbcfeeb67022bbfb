"""The example in the docstring of each interface is a plugin file that a run uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from latte_author.kit.write import class_name_of, example_module, recipe_keys
from latte_author.testing import TinyRuns
from latte_author.testing.fixtures import tiny_images
from latte_author.testing.tiny_runs import DATASET, SQUARES

from latte.registry.registry import INTERFACES
from latte.registry.spec import Kind

pytestmark = pytest.mark.thorough
SHORT = "train: {batch_size: 4, max_steps: 2}\noutput: runs\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    runs = TinyRuns(tmp_path_factory.mktemp("runs"))
    tiny_images(runs.folder / "photos")
    return runs


def recipe(kind: Kind) -> str:
    """Return a recipe that uses the component `own`, with images of `TinyRuns` if it can."""
    keys = recipe_keys(kind, "own")
    if kind == "dataset":
        head = SQUARES.removeprefix(DATASET)
    else:
        head = DATASET if kind == "backbone" else SQUARES
        del keys["dataset"]
    if kind != "backbone":
        del keys["backbone"]
    return head + "".join(f"{key}: {value}\n" for key, value in keys.items()) + SHORT


@pytest.mark.parametrize("kind", INTERFACES)
def test_example_of_an_interface_runs_from_a_file(kind: Kind, runs: TinyRuns) -> None:
    file = Path(f"own_{kind}.py")
    text = example_module(kind, class_name_of(kind, "Own"))
    (runs.folder / file).write_text(text, encoding="utf-8")
    (runs.folder / f"{kind}.yaml").write_text(recipe(kind), encoding="utf-8")
    outcome = runs.latte("run", f"{kind}.yaml", "--plugin", str(file))
    assert outcome.code == 0, outcome.err
    assert outcome.err.startswith(f"{file} has {kind} own\n")
    assert "report\t" in outcome.out
