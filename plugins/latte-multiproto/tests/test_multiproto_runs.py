"""Whole runs on coloured squares: one prototype a class is `momentum`; three survive a stop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
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
dataset: {use: folder, root: images, classes: [red, "gr<b>een", blue], evaluation: test}
backbone: {model: "local-dir:clip"}
describer: phrases
descriptions: [class, image, {use: group, size: 2}]
labels: [current, frozen]
prototypes: {PROTOTYPES}
loss: contrastive
train:
  batch_size: 4
  max_epochs: 3
  checkpoint_every: 2
  optimizer: {learning_rate: 1.0e-3}
reporters: [prototype-gallery]
"""


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
    """A folder with a tiny random CLIP, images and labelled test images."""
    folder = tmp_path_factory.mktemp("squares")
    write_clip(folder / "clip")
    for split, per_class in (("images", 5), ("test", 2)):
        for number, name in enumerate(("red", "gr<b>een", "blue")):
            below = f"part-{number}" if split == "images" else name
            write_squares(folder / split / below, ("red", "green", "blue")[number], per_class)
    return folder


@pytest.fixture(autouse=True)
def own_cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(place / "cache"))


def write_clip(folder: Path) -> None:
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(**CLIP_CONFIG)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": {"size": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def write_squares(folder: Path, colour: str, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        image = Image.new("RGB", (40, 36), colour)
        image.paste((40 + 31 * number,) * 3, (3 * number, 5 * number, 3 * number + 12, 30))
        image.save(folder / f"{number}.png")


def run(place: Path, prototypes: str, *overrides: str, output: str) -> Path:
    path = place / "squares.yaml"
    path.write_text(RECIPE.replace("PROTOTYPES", prototypes))
    registry = load_registry()
    recipe = load_recipe(path, registry, overrides)
    run_recipe(recipe, registry, Silent(), output=place / output)
    return run_folder(recipe, None, place / output).path


def different(one: Path, other: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]


FILES = ("prototypes.safetensors", "metrics.jsonl", "model/open_clip_model.safetensors")


@pytest.mark.parametrize("margins", ["current", "epoch_start"])
def test_one_prototype_a_class_is_momentum_to_the_bit(place: Path, margins: str) -> None:
    options = f"momentum: 0.9, margins: {margins}"
    weighted = "descriptions=[class, {use: image, weight: 3.0}, {use: group, size: 2, weight: 0.5}]"
    one = run(
        place, f"use: multi-momentum, prototypes: 1, {options}", weighted, output=f"one-{margins}"
    )
    core = run(place, f"use: momentum, {options}", weighted, output=f"core-{margins}")
    assert different(one, core, FILES) == []
    start = load_file(core / "zero_shot.safetensors")["class_features"]
    assert not torch.equal(load_file(core / "prototypes.safetensors")["main.weights"], start)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_three_prototypes_go_on_after_a_stop_to_the_bit(
    place: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    prototypes = "use: multi-momentum, prototypes: 3, momentum: 0.7, floor: 0.5"
    whole = run(place, prototypes, output="whole")
    calls = 0

    def stops(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > stop_after:
            raise StoppedError
        return training_step(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("latte.adapt.loop.training_step", stops)
        with pytest.raises(StoppedError):
            run(place, prototypes, output=f"stopped-{stop_after}")
    resumed = run(place, prototypes, output=f"stopped-{stop_after}")
    assert different(whole, resumed, FILES) == []
    assert load_file(whole / "prototypes.safetensors")["main.weights"].shape == (9, 16)


def test_the_page_shows_every_image_once_escaped_and_whole(place: Path) -> None:
    prototypes = "use: multi-momentum, prototypes: 3, momentum: 0.7"
    folder = run(place, prototypes, output="page")
    page = (folder / "report" / "prototypes.html").read_text(encoding="utf-8")
    counts = [int(found) for found in re.findall(r"<h3>Prototype \d: (\d+) image", page)]
    assert len(counts) == 9
    assert sum(counts) == 15
    assert "gr&lt;b&gt;een" in page
    assert "<b>" not in page
    assert "frozen CLIP" in page
    assert page.count("data:image/jpeg;base64,") == sum(min(3, count) for count in counts)
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    texts = (folder / "descriptions.jsonl").read_text(encoding="utf-8").splitlines()
    written = {json.loads(line)["descriptions"]["image"]["text"] for line in texts}
    assert any(text in page for text in written)


def test_the_recipe_of_the_readme_is_valid(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    path = tmp_path / "several.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)[0], encoding="utf-8")
    recipe = load_recipe(path, load_registry())
    assert recipe.learners[0].prototypes.spec.name == "multi-momentum"
