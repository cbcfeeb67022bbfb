"""ReCLIP as a whole run: two learners on squares of one colour, with a tiny random CLIP."""

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
from latte.api import LatteError
from latte.backbone.open_clip import OpenClipBackbone
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder

RECIPE = """\
dataset: {{use: folder, root: images, classes: [red, green, blue], evaluation: test}}
backbone: {{model: "local-dir:{clip}"}}
labels: [{{use: label-propagation, neighbours: 4}}]
learners:
  - name: text
    trainable: text_layer_norms
    prototypes: {{use: templates, refresh: step}}
    loss: masked-cross-entropy
  - name: visual
    trainable: visual_layer_norms
    prototypes: centroids
    loss: masked-cross-entropy
train:
  batch_size: 4
  max_epochs: 3
  checkpoint_every: 2
  schedule: constant
  augment: null
  optimizer: {{name: sgd, learning_rate: 1.0e-3, weight_decay: 1.0e-4}}
"""

CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 16,
        "width": 32,
        "head_width": 16,
        "layers": 2,
    },
    "text_cfg": {
        "context_length": 32,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
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
def recipe(tmp_path: Path, clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """12 training and 6 labelled images; the training folder names no class."""
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for colour in ("red", "green", "blue"):
        for number in range(4):
            write_square(tmp_path / "images" / f"{number}-{colour[1:3]}.png", colour, number)
        for number in range(2):
            write_square(tmp_path / "test" / colour / f"{number}.png", colour, number + 9)
    path = tmp_path / "reclip.yaml"
    path.write_text(RECIPE.format(clip=clip_folder))
    return path


def write_square(path: Path, colour: str, number: int) -> None:
    image = Image.new("RGB", (36, 36), colour)
    image.paste((20 * number, 90, 90), (0, 0, 6 + number, 9))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def run(recipe: Path, output: str, until: str = "report") -> Path:
    registry = load_registry()
    loaded = load_recipe(recipe, registry)
    run_recipe(loaded, registry, Silent(), output=Path(output), until=until)
    return run_folder(loaded, None, Path(output)).path


def results(folder: Path) -> dict[str, bytes]:
    """What must be the same to the bit."""
    names = (
        "prototypes.safetensors",
        "metrics.jsonl",
        "evaluation.json",
        "predictions.csv",
        "model/text/open_clip_model.safetensors",
        "model/visual/open_clip_model.safetensors",
    )
    return {name: (folder / name).read_bytes() for name in names}


def test_both_learners_learn_and_vote_together(recipe: Path, clip_folder: Path) -> None:
    folder = run(recipe, "runs")
    before = load_file(clip_folder / "open_clip_model.safetensors")
    changed = {}
    for name in ("text", "visual"):
        after = load_file(folder / "model" / name / "open_clip_model.safetensors")
        changed[name] = [key for key in before if not torch.equal(before[key], after[key])]
    assert changed["text"]
    assert all("ln_" in key and "visual" not in key for key in changed["text"])
    assert changed["visual"]
    assert all("ln_" in key and "visual" in key for key in changed["visual"])
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"text.loss", "visual.loss"} <= steps[0].keys()
    prototypes = load_file(folder / "prototypes.safetensors")
    assert not torch.equal(prototypes["text.weights"], prototypes["visual.weights"])


def test_stopping_after_each_stage_equals_one_go(recipe: Path) -> None:
    whole = run(recipe, "whole")
    for stage in ("zero-shot", "train", "evaluate", "report"):
        stepwise = run(recipe, "stepwise", until=stage)
    assert results(whole) == results(stepwise)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("steps", [4, 8])
def test_stopping_within_training_equals_one_go(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    whole = run(recipe, "whole")
    calls = iter(range(2 * steps))

    def stops(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise StoppedError
        return training_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("latte.adapt.loop.training_step", stops)
        with pytest.raises(StoppedError):
            run(recipe, "stopped")
    assert results(whole) == results(run(recipe, "stopped"))


LISTED = """\
dataset: {{use: list, images: {images}, evaluation: {evaluation}, classes: [red, green, blue]}}
"""


def test_transductive_is_to_list_copies_of_the_test_images(recipe: Path, tmp_path: Path) -> None:
    labelled = [(path, path.parent.name) for path in sorted((tmp_path / "test").rglob("*.png"))]
    for path, colour in labelled:
        copy = tmp_path / "unlabelled" / f"{path.stem}-{colour[1:3]}.png"
        copy.parent.mkdir(exist_ok=True)
        copy.hardlink_to(path)
    write_list(tmp_path / "test.csv", [f"test/{c}/{p.name},{c}" for p, c in labelled], "path,class")
    copies = sorted((tmp_path / "unlabelled").iterdir())
    write_list(tmp_path / "copies.csv", [f"unlabelled/{path.name}" for path in copies], "path")
    write_list(tmp_path / "same.csv", [f"test/{c}/{p.name}" for p, c in labelled], "path")
    rest = recipe.read_text().partition("\n")[2]
    recipe.write_text(LISTED.format(images="same.csv", evaluation="test.csv") + rest)
    with pytest.raises(LatteError, match="6 evaluation images are training images too"):
        run(recipe, "same")
    recipe.write_text(LISTED.format(images="copies.csv", evaluation="test.csv") + rest)
    assert (run(recipe, "copies") / "evaluation.json").exists()


def write_list(file: Path, rows: list[str], header: str) -> None:
    file.write_text("\n".join([header, *rows]) + "\n")
