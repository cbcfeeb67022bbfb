"""Whole runs on coloured squares: one prototype a class is `momentum`; three survive a stop."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from latte_author.testing import RunContract, TinyRuns
from latte_author.testing.tiny_runs import results
from safetensors.torch import load_file

pytestmark = pytest.mark.thorough

RECIPE = """\
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
HOSTILE = """\
dataset: {use: folder, root: images, classes: [red, "gr<b>een", blue]}
backbone: {model: "local-dir:clip"}
"""


def recipe(prototypes: str) -> str:
    return RECIPE.replace("PROTOTYPES", prototypes)


class TestThreePrototypes(RunContract):
    recipe = recipe("use: multi-momentum, prototypes: 3, momentum: 0.7, floor: 0.5")
    stops = (4, 7)

    def test_there_are_three_of_each_class(self, whole: Path) -> None:
        weights = load_file(whole / "models/adapted/prototypes.safetensors")["main.weights"]
        assert weights.shape == (9, 16)


@pytest.mark.parametrize("margins", ["current", "epoch_start"])
def test_one_prototype_a_class_is_momentum_to_the_bit(latte_runs: TinyRuns, margins: str) -> None:
    options = f"momentum: 0.9, margins: {margins}"
    weighted = "descriptions=[class, {use: image, weight: 3.0}, {use: group, size: 2, weight: 0.5}]"
    multi_recipe = recipe(f"use: multi-momentum, prototypes: 1, {options}")
    multi_results = results(latte_runs.run(multi_recipe, weighted, "reporters=[]"))
    core = latte_runs.run(recipe(f"use: momentum, {options}"), weighted, "reporters=[]")
    assert [name for name, data in results(core).items() if multi_results[name] != data] == []
    start = load_file(core / "zero_shot.safetensors")["class_features"]
    assert not torch.equal(
        load_file(core / "models/adapted/prototypes.safetensors")["main.weights"], start
    )


def test_the_page_shows_every_image_once_escaped_and_whole(
    latte_runs: TinyRuns,
) -> None:
    prototypes = "use: multi-momentum, prototypes: 3, momentum: 0.7"
    folder = latte_runs.run(HOSTILE + recipe(prototypes))
    page = (folder / "report" / "prototypes.html").read_text(encoding="utf-8")
    counts = [int(digits) for digits in re.findall(r"<h3>Prototype \d: (\d+) image", page)]
    assert len(counts) == 9
    assert sum(counts) == 12
    assert "gr&lt;b&gt;een" in page
    assert "<b>" not in page
    assert "frozen CLIP" in page
    assert page.count("data:image/jpeg;base64,") == sum(min(3, count) for count in counts)
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    texts = (folder / "descriptions.jsonl").read_text(encoding="utf-8").splitlines()
    written = {json.loads(line)["descriptions"]["image"]["text"] for line in texts}
    assert any(text in page for text in written)
