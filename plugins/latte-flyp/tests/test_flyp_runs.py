"""Whole runs on coloured squares; the recipes of the README are valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.model import CLIP
from PIL import Image
from safetensors.torch import load_file, save_file

from latte.adapt.step import training_step
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder

CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 16,
        "width": 32,
        "head_width": 16,
        "layers": 1,
    },
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
RECIPE = """\
dataset: {use: folder, root: images, classes: [red, green, blue]}
backbone: {model: "local-dir:clip"}
descriptions: DESCRIPTIONS
labels: [current]
prototypes: {PROTOTYPES}
loss: contrastive
train:
  batch_size: 4
  max_epochs: 2
  checkpoint_every: 2
  optimizer: {learning_rate: 1.0e-3}
"""
ONE = '[{use: class, name: plain, template: "a photo of a {class}."}]'
TWO_MORE = (
    '{use: class, name: a, template: "a {class}."}, {use: class, name: b, template: "{class}!"}'
)
THREE = f"{ONE[:-1]}, {TWO_MORE}]"
FILES = ("prototypes.safetensors", "metrics.jsonl", "model/open_clip_model.safetensors")


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
    for number in range(12):
        image = Image.new("RGB", (40, 36), ("red", "green", "blue")[number % 3])
        image.paste((40 + 15 * number,) * 3, (number, 2 * number, number + 12, 30))
        image.save(folder / "images" / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def own_cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(place / "cache"))


def run(place: Path, descriptions: str, prototypes: str, output: str) -> Path:
    path = place / "squares.yaml"
    text = RECIPE.replace("DESCRIPTIONS", descriptions).replace("PROTOTYPES", prototypes)
    path.write_text(text)
    registry = load_registry()
    recipe = load_recipe(path, registry)
    run_recipe(recipe, registry, Silent(), output=place / output, until="evaluate")
    return run_folder(recipe, None, place / output).path


def different(one: Path, other: Path) -> list[str]:
    return [name for name in FILES if (one / name).read_bytes() != (other / name).read_bytes()]


def test_one_template_is_the_core_s_flyp(place: Path) -> None:
    """The target is the same sentence; gradients add up in another order."""
    one = run(place, ONE, "use: flyp", "one")
    core = run(place, "[]", "use: templates, refresh: step", "core")
    mine, theirs = (load_file(folder / "prototypes.safetensors") for folder in (one, core))
    torch.testing.assert_close(mine["main.weights"], theirs["main.weights"], atol=1e-5, rtol=0)
    start = load_file(one / "zero_shot.safetensors")["class_features"]
    assert not torch.allclose(mine["main.weights"], start, atol=1e-4)


def test_several_templates_teach_something_else(place: Path) -> None:
    one = run(place, ONE, "use: flyp", "one")
    three = run(place, THREE, "use: flyp", "three")
    assert set(different(one, three)) == {*FILES}


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 3, 4])
@pytest.mark.parametrize("refresh", ["step", "epoch"])
def test_a_stopped_run_goes_on_to_the_bit(
    place: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, refresh: str
) -> None:
    prototypes = f"use: flyp, refresh: {refresh}"
    whole = run(place, THREE, prototypes, f"whole-{refresh}")
    calls = 0

    def stops(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > stop_after:
            raise StoppedError
        return training_step(*arguments)

    output = f"stopped-{refresh}-{stop_after}"
    with monkeypatch.context() as patched:
        patched.setattr("latte.adapt.loop.training_step", stops)
        with pytest.raises(StoppedError):
            run(place, THREE, prototypes, output)
    assert different(whole, run(place, THREE, prototypes, output)) == []


def test_the_recipes_of_the_readme_are_valid(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    current, frozen, several = re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    changed = re.sub(r"^labels: .*\n", frozen, current, flags=re.MULTILINE)
    registry = load_registry()
    for name, text in {"current": current, "frozen": changed, "several": several}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        recipe = load_recipe(path, registry)
        assert recipe.labels[0].label == ("frozen" if name == "frozen" else "current")
