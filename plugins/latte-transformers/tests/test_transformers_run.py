"""Whole runs with backbones of transformers, and predictions and exports of their models."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
from latte_author.testing import TinyRuns
from PIL import Image
from torch.nn.functional import normalize
from transformers_checkpoints import SIDE, transformers, write_clip, write_siglip

import latte

pytestmark = pytest.mark.thorough

DATA = """\
dataset: {use: folder, root: images, classes: [red, green, blue], evaluation: test}
backbone: {use: transformers, model: ./model}
"""
LATTECLIP = (
    DATA
    + """\
describer: phrases
descriptions: [class, image, {use: group, size: 2}]
labels: [frozen, current]
prototypes: momentum
loss: contrastive
train: {batch_size: 6, max_steps: 3, optimizer: {learning_rate: 1.0e-3}}
"""
)
TRANSDUCTIVE = (
    DATA
    + """\
requires: ["latte-selftaught>=0.1,<0.2"]
labels: [self-taught]
prototypes: from-labeler
guard: evidence
train: {max_steps: 0}
"""
)
Write = Callable[[Path], None]


@pytest.fixture(params=[write_clip, write_siglip])
def runs(tmp_path: Path, request: pytest.FixtureRequest) -> TinyRuns:
    runs = TinyRuns(tmp_path)
    request.param(tmp_path / "model")
    return runs


def test_latteclip_trains_and_its_model_predicts_again(runs: TinyRuns) -> None:
    (runs.folder / "recipe.yaml").write_text(LATTECLIP)
    trained = runs.latte("run", "recipe.yaml")
    assert trained.code == 0, trained.err
    run = next((runs.folder / "runs").glob("recipe-*"))
    pretrained = transformers.AutoModel.from_pretrained(runs.folder / "model")
    model = transformers.AutoModel.from_pretrained(run / "models/adapted/model")
    assert type(model) is type(pretrained)
    assert ("pretrained with a sigmoid loss" in trained.err) == hasattr(pretrained, "logit_bias")
    assert not torch.equal(
        model.vision_model.embeddings.patch_embedding.weight,
        pretrained.vision_model.embeddings.patch_embedding.weight,
    )
    for page in ("models/adapted/model/README.md", "report/index.html"):
        assert "open_clip.create" not in (run / page).read_text()
    outcome = runs.latte("predict", str(run), "test", "--output", "labels.csv")
    assert outcome.code == 0, outcome.err
    written = (run / "predictions.csv").read_text().splitlines()
    with (runs.folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(written) - 1 == 6
    exported = runs.latte("export", str(run), "--format", "transformers")
    assert exported.code == 0, exported.err
    assert shown(run / "export/transformers") in ("red", "green", "blue")


def test_sigmoid_loss_trains_a_sigmoid_model_without_warning(tmp_path: Path) -> None:
    runs = TinyRuns(tmp_path)
    write_siglip(tmp_path / "model")
    recipe = LATTECLIP.replace("loss: contrastive", "loss: sigmoid")
    (tmp_path / "recipe.yaml").write_text(recipe.replace("max_steps: 3", "max_steps: 12"))
    trained = runs.latte("run", "recipe.yaml")
    assert trained.code == 0, trained.err
    assert "pretrained with a sigmoid loss" not in trained.err
    run = next((tmp_path / "runs").glob("recipe-*"))
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    losses = [row["loss"] for row in rows if row["event"] == "step"]
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")
@pytest.mark.parametrize("trainable", ["{use: lora, rank: 2}", "{use: prompts, words: a photo}"])
def test_merged_models_are_saved_in_their_own_format(runs: TinyRuns, trainable: str) -> None:
    run = runs.run(LATTECLIP, f"trainable={trainable}")
    original_weights, trained_weights = (
        transformers.AutoModel.from_pretrained(folder).state_dict()
        for folder in (runs.folder / "model", run / "models/adapted/model")
    )
    assert [*original_weights] == [*trained_weights]
    changed = [
        name
        for name in original_weights
        if not torch.equal(original_weights[name], trained_weights[name])
    ]
    tokens = "token_embedding"
    assert changed
    assert all((tokens in name) == ("prompts" in trainable) for name in changed)


def shown(folder: Path) -> str:
    """Run the code in the README of an export; return the class that it prints."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    Image.new("RGB", (SIDE, SIDE), "red").save(folder.parent / "photo.jpg")
    out = StringIO()
    with chdir(folder.parent), redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    return out.getvalue().split()[0]


def test_self_taught_recipe_runs(runs: TinyRuns) -> None:
    assert (runs.run(TRANSDUCTIVE) / "predictions.csv").exists()
    run = runs.run(TRANSDUCTIVE, "guard=null")
    assert (run / "models/adapted/posterior.safetensors").exists()
    assert runs.latte("predict", str(run), "test", "--output", "labels.csv").code == 0


@pytest.mark.parametrize("size", [(50, 40), (32, 32), (20, 31)])
def test_images_have_the_features_of_the_library(runs: TinyRuns, size: tuple[int, int]) -> None:
    run = runs.run(TRANSDUCTIVE)
    image = Image.effect_noise(size, 80).convert("RGB")
    model = transformers.AutoModel.from_pretrained(run / "models/adapted/model").eval()
    processor = transformers.AutoProcessor.from_pretrained(
        run / "models/adapted/model", backend="pil"
    )
    with torch.no_grad():
        pixels = processor(images=image, return_tensors="pt")["pixel_values"]
        expected = normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=1)
    assert torch.allclose(latte.load(run).features([image]), expected, atol=1e-5)


def test_two_equal_runs_have_equal_bits(runs: TinyRuns) -> None:
    run, second_run = (runs.run(LATTECLIP, output=name) for name in ("one", "two"))
    for name in (
        "models/adapted/prototypes.safetensors",
        "models/adapted/model/model.safetensors",
        "predictions.csv",
    ):
        assert (run / name).read_bytes() == (second_run / name).read_bytes(), name


def test_a_missing_download_is_refused_with_the_place(runs: TinyRuns) -> None:
    recipe = TRANSDUCTIVE.replace("./model", "someone/clip")
    (runs.folder / "r.yaml").write_text(recipe)
    process = subprocess.run(
        [sys.executable, "-m", "latte", "run", "r.yaml"],
        cwd=runs.folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2, process.stderr
    assert "cannot download someone/clip" in process.stderr
