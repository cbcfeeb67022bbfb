"""The components as whole runs: squares of one colour, with a tiny random CLIP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.model import CLIP, set_model_preprocess_cfg
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors.torch import load_file

from latte.adapt.step import training_step
from latte.backbone.open_clip import OpenClipBackbone
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder

TRAINED = """\
dataset: {{use: folder, root: images, classes: [red, green, blue], evaluation: test}}
backbone: {{model: "local-dir:{clip}"}}
descriptions: [class]
labels: [{{use: transductive, prior: current, neighbours: 4, confidence: true}}, frozen]
prototypes: momentum
loss: contrastive
trainable: projections
train: {{batch_size: 4, max_epochs: 3, checkpoint_every: 2, optimizer: {{learning_rate: 1.0e-3}}}}
"""

UNTRAINED = """\
dataset: {{use: folder, root: images, classes: [red, green, blue], evaluation: test}}
backbone: {{model: "local-dir:{clip}"}}
labels: [{{use: transductive, neighbours: 4}}]
prototypes: centroids
loss: contrastive
trainable: none
train: {{max_steps: 1, augment: null}}
"""

CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


class Silent:
    """A progress, and each of its tasks, that shows nothing."""

    @contextmanager
    def task(self, *arguments: Any, **more: Any) -> Iterator[Silent]:
        yield self

    def advance(self, *arguments: Any, **figures: Any) -> None:
        """Nothing to show."""

    def say(self, line: str) -> None:
        """Nothing to say."""


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(**CLIP_CONFIG).eval()
    set_model_preprocess_cfg(model, asdict(PreprocessCfg(size=32)))
    folder = tmp_path_factory.mktemp("clip")
    OpenClipBackbone(model, CLIP_CONFIG, SimpleTokenizer(context_length=32)).save(folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """12 training and 6 labelled images; the training folder names no class."""
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for colour in ("red", "green", "blue"):
        for number in range(4):
            write_square(tmp_path / "images" / f"{number}-{colour[1:3]}.png", colour, number)
        for number in range(2):
            write_square(tmp_path / "test" / colour / f"{number}.png", colour, number + 9)
    return tmp_path


def write_square(path: Path, colour: str, number: int) -> None:
    image = Image.new("RGB", (36, 36), colour)
    image.paste((20 * number, 90, 90), (0, 0, 6 + number, 9))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def written(folder: Path, text: str, clip: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text.format(clip=clip))
    return path


def run(recipe: Path, output: str) -> Path:
    registry = load_registry()
    loaded = load_recipe(recipe, registry)
    run_recipe(loaded, registry, Silent(), output=Path(output), until="report")
    return run_folder(loaded, None, Path(output)).path


def results(folder: Path) -> dict[str, bytes]:
    """What must be the same to the bit."""
    names = (
        "prototypes.safetensors",
        "metrics.jsonl",
        "evaluation.json",
        "predictions.csv",
        "model/open_clip_model.safetensors",
    )
    return {name: (folder / name).read_bytes() for name in names}


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("steps", [4, 5])
def test_stopping_within_training_equals_one_go(
    photos: Path, clip_folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    recipe = written(photos, TRAINED, clip_folder)
    whole = run(recipe, "whole")
    calls = iter(range(steps))

    def stops(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise StoppedError
        return training_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("latte.adapt.loop.training_step", stops)
        with pytest.raises(StoppedError):
            run(recipe, "stopped")
    assert results(whole) == results(run(recipe, "stopped"))
    steps_log = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert "agreement" in steps_log[0], "two streams were compared"


def test_the_mixture_is_a_method_without_training(photos: Path, clip_folder: Path) -> None:
    folder = run(written(photos, UNTRAINED, clip_folder), "runs")
    before = load_file(clip_folder / "open_clip_model.safetensors")
    after = load_file(folder / "model" / "open_clip_model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    rows = load_file(folder / "prototypes.safetensors")["main.weights"]
    zero_shot = load_file(folder / "zero_shot.safetensors")["class_features"]
    assert rows.shape == zero_shot.shape
    assert not torch.allclose(rows, zero_shot, atol=1e-2)
    labels: dict[str, set[str]] = {}
    for line in (folder / "pseudo_labels.csv").read_text().splitlines()[1:]:
        image, _, adapted = line.split(",")
        labels.setdefault(image.removesuffix(".png")[2:], set()).add(adapted)
    assert {colour: len(found) for colour, found in labels.items()} == {"ed": 1, "re": 1, "lu": 1}
