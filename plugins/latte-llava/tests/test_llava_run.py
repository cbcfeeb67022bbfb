"""`latte describe` and `latte run` with the describer, and the README's recipes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_llava import benchmark
from latte_llava.replica import Replica
from llava_checkpoints import checkpoint
from open_clip.model import CLIP
from PIL import Image
from safetensors.torch import save_file

from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder

CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
RECIPE = """\
dataset: {use: folder, root: images, classes: [red, "gr<image>een", blue]}
backbone: {model: "local-dir:clip"}
describer: {use: llava, model: MODEL, max_new_tokens: 8, batch_size: 2}
descriptions: [class, image, {use: group, size: 4}]
labels: [frozen, current]
prototypes: momentum
loss: contrastive
train: {batch_size: 4, max_epochs: 1}
"""
README = Path(__file__).parents[1] / "README.md"


class Silent:
    """A progress that shows nothing."""

    @contextmanager
    def task(self, name: str, total: int | None, unit: str, done: int = 0) -> Iterator[Silent]:
        yield self

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        pass

    def say(self, line: str) -> None:
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random CLIP and images."""
    folder = tmp_path_factory.mktemp("squares")
    (folder / "clip").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(**CLIP_CONFIG)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "clip" / "open_clip_model.safetensors")
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": {"size": 32}}
    (folder / "clip" / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "images").mkdir()
    for number in range(9):
        image = Image.new("RGB", (40, 36), ("red", "green", "blue")[number % 3])
        image.paste((40 + 15 * number,) * 3, (number, 2 * number, number + 12, 30))
        image.save(folder / "images" / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def own_cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(place / "cache"))


@pytest.mark.parametrize("family", ["tiny-llava-next", "onevision"])
def test_a_run_describes_trains_and_asks_only_once(
    place: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / f"{family}.yaml"
    path.write_text(RECIPE.replace("MODEL", str(checkpoint(family))))
    registry = load_registry()
    recipe = load_recipe(path, registry)
    run_recipe(recipe, registry, Silent(), output=place / "first", until="describe")
    texts = run_folder(recipe, None, place / "first").descriptions.read_text(encoding="utf-8")
    assert texts.count('"group": {"text"') == 9

    def unused(*_: Any) -> None:
        raise AssertionError("a text that is stored was asked for again")

    monkeypatch.setattr(Replica, "answer", unused)
    run_recipe(recipe, registry, Silent(), output=place / "second", until="evaluate")
    assert run_folder(recipe, None, place / "second").descriptions.read_text("utf-8") == texts


def test_recipes_of_the_readme_are_valid(tmp_path: Path) -> None:
    found = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    recipes = [text for text in found if "dataset:" in text]
    assert recipes
    for number, text in enumerate(recipes):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        assert load_recipe(path, load_registry()).describers


@pytest.mark.parametrize(
    "what", [["--shape", "tiny-llava-next"], ["--shape", "tiny-llava", "--resolution", "full"]]
)
def test_the_benchmark_compares_batch_sizes(
    what: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--images", "4", "--batch-sizes", "1,4", "--rounds", "1", "--max-new-tokens", "3"]
    benchmark.main([*what, *few, "--device", "cpu"])
    out = capsys.readouterr().out
    assert re.search(r"batch +1: +[\d.]+ images/s +1\.00x", out)
    assert re.search(r"batch +4: +[\d.]+ images/s", out)


def test_the_benchmark_takes_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--images", "2", "--batch-sizes", "2", "--rounds", "1", "--max-new-tokens", "2"]
    benchmark.main(["--model", str(checkpoint("tiny-llava-next")), *few, "--device", "cpu"])
    assert "images/s" in capsys.readouterr().out
