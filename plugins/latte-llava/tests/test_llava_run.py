"""`latte run` with the describer."""

from __future__ import annotations

from typing import Any

import pytest
from latte_author.testing import TinyRuns
from latte_llava.model import ImageTextModel
from llava_checkpoints import checkpoint

pytestmark = pytest.mark.thorough

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


@pytest.mark.parametrize("family", ["tiny-llava-next", "onevision"])
def test_a_run_describes_trains_and_asks_only_once(
    latte_runs: TinyRuns, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.replace("MODEL", str(checkpoint(family)))
    described = latte_runs.run(recipe, output="first", until="describe") / "descriptions.jsonl"
    texts = described.read_text(encoding="utf-8")
    assert texts.count('"group": {"text"') == 12

    def unused(*_: Any) -> None:
        raise AssertionError("a text that is stored was asked for again")

    monkeypatch.setattr(ImageTextModel, "answer", unused)
    second_file = latte_runs.run(recipe, output="second", until="evaluate") / "descriptions.jsonl"
    assert second_file.read_text(encoding="utf-8") == texts
