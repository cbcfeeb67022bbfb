"""The components as whole runs: squares of one colour, with a tiny random CLIP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from latte_author.testing import RunContract, TinyRuns
from safetensors.torch import load_file

pytestmark = pytest.mark.thorough

UNTRAINED = """\
labels: [{use: transductive, image_weight: 10, debias: 0, other_names: 0, balance: 0}]
prototypes: from-labeler
train: {max_steps: 0}
"""


class TestTrained(RunContract):
    recipe = """\
descriptions: [class]
labels: [{use: transductive, prior: current, confidence: true}, frozen]
prototypes: momentum
loss: contrastive
trainable: projections
train: {batch_size: 4, max_epochs: 3, checkpoint_every: 2, optimizer: {learning_rate: 1.0e-3}}
"""
    stops = (4, 5)

    def test_two_streams_are_compared(self, whole: Path) -> None:
        steps = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
        assert "agreement" in steps[0]


def test_the_mixture_is_a_method_without_training(latte_runs: TinyRuns) -> None:
    run = latte_runs.run(UNTRAINED)
    before = load_file(latte_runs.folder / "clip" / "open_clip_model.safetensors")
    after = load_file(run / "models/adapted/model" / "open_clip_model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    rows = load_file(run / "models/adapted/prototypes.safetensors")["main.weights"]
    zero_shot = load_file(run / "zero_shot.safetensors")["class_features"]
    assert rows.shape == zero_shot.shape
    assert not torch.allclose(rows, zero_shot, atol=1e-2)
    labels: dict[int, set[str]] = {}
    for line in (run / "pseudo_labels.csv").read_text().splitlines()[1:]:
        image, _, adapted, _, _ = line.split(",")
        labels.setdefault(int(image.removesuffix(".png")) % 3, set()).add(adapted)
    assert {colour: len(found) for colour, found in labels.items()} == {0: 1, 1: 1, 2: 1}


def test_own_images_keep_what_the_mixture_says_of_them(latte_runs: TinyRuns) -> None:
    run = latte_runs.run(UNTRAINED)
    posterior = load_file(run / "models/adapted/posterior.safetensors")
    assert posterior["labels"].shape == posterior["probabilities"].shape == (12, 3)
    doubtful = int((posterior["probabilities"][:, 0] < 0.5).sum())
    record = json.loads((run / "results.json").read_text())
    extras = {"Images in doubt": doubtful}
    assert record["train"]["extras"] == {"latte-transductive": extras}
    assert "Images in doubt (latte-transductive)" in (run / "report/index.html").read_text()
    assert float(posterior["probabilities"].sum(dim=1).max()) <= 1 + 1e-4
    said = latte_runs.latte("predict", str(run), "images", "test", "--top-k=1", "--format=jsonl")
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["source"] for row in rows] == ["own"] * 12 + ["classifier"] * 6
    names = ("red", "green", "blue")
    first = [row["classes"][0]["class"] for row in rows[:12]]
    assert first == [names[label] for label in posterior["labels"][:, 0]]
    lines = (run / "pseudo_labels.csv").read_text().splitlines()[1:]
    assert [line.split(",")[2] for line in lines] == first


def test_images_that_other_names_keep_can_be_called_none_of_them(latte_runs: TinyRuns) -> None:
    run = latte_runs.run(UNTRAINED.replace("other_names: 0", "other_names: 5"))
    none = load_file(run / "models/adapted/posterior.safetensors")["none"]
    assert 0 < float(none.min()) < float(none.max()) < 1
    kept = int((none > 0.5).sum())
    facts = json.loads((run / "results.json").read_text())["train"]["extras"]["latte-transductive"]
    assert facts["Images nearer to names of other things"] == kept
    limit = float(1 - none.median())
    said = latte_runs.latte(
        *("predict", str(run), "images", "test", "--top-k=1", "--format=jsonl"),
        f"--unknown-below={limit}",
    )
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["match"] for row in rows[:12]] == pytest.approx((1 - none).tolist(), abs=1e-5)
    is_none = [row["classes"][0]["class"] == "none of them" for row in rows[:12]]
    assert is_none == (1 - none < limit).tolist()
    assert 0 < sum(is_none) < 12
