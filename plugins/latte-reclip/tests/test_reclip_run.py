"""ReCLIP as a whole run: two learners on squares of one colour, with a tiny random CLIP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from latte_author.testing import RunContract, TinyRuns
from safetensors.torch import load_file

pytestmark = pytest.mark.thorough

RECIPE = """\
labels: [{use: label-propagation, neighbours: 4}]
learners:
  - name: text
    trainable: text_layer_norms
    prototypes: {use: templates, refresh: step}
    loss: masked-cross-entropy
  - name: visual
    trainable: visual_layer_norms
    prototypes: from-labeler
    loss: masked-cross-entropy
augmentation: null
train:
  batch_size: 4
  max_epochs: 3
  checkpoint_every: 2
  schedule: constant
  optimizer: {name: sgd, learning_rate: 1.0e-3, weight_decay: 1.0e-4}
"""
LISTED = """\
dataset: {{use: list, images: {images}, evaluation: test.csv, classes: [red, green, blue]}}
backbone: {{model: "local-dir:clip"}}
"""


class TestTwoLearners(RunContract):
    recipe = RECIPE
    stops = (4, 8)

    def test_both_learn_and_vote_together(self, runs: TinyRuns, whole: Path) -> None:
        frozen_weights = load_file(runs.folder / "clip" / "open_clip_model.safetensors")
        changed = {}
        for name in ("text", "visual"):
            trained_weights = load_file(
                whole / "models/adapted/model" / name / "open_clip_model.safetensors"
            )
            changed[name] = [
                key
                for key in frozen_weights
                if not torch.equal(frozen_weights[key], trained_weights[key])
            ]
        assert changed["text"]
        assert all("ln_" in key and "visual" not in key for key in changed["text"])
        assert changed["visual"]
        assert all("ln_" in key and "visual" in key for key in changed["visual"])
        steps = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
        assert {"text.loss", "visual.loss"} <= steps[0].keys()
        prototypes = load_file(whole / "models/adapted/prototypes.safetensors")
        assert not torch.equal(prototypes["text.weights"], prototypes["visual.weights"])


def test_transductive_is_to_list_the_test_images_without_classes(latte_runs: TinyRuns) -> None:
    folder = latte_runs.folder
    images = sorted((folder / "test").rglob("*.png"))
    names = [path.relative_to(folder).as_posix() for path in images]
    rows = [f"{name},{path.parent.name}" for name, path in zip(names, images, strict=True)]
    write_list(folder / "test.csv", rows, "path,class")
    write_list(folder / "unlabelled.csv", names, "path")
    run = latte_runs.run(LISTED.format(images="unlabelled.csv") + RECIPE)
    assert (run / "predictions.csv").exists()


def write_list(file: Path, rows: list[str], header: str) -> None:
    file.write_text("\n".join([header, *rows]) + "\n")
