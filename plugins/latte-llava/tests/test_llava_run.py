"""`latte run` with the describer, and the README's recipes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from latte_llava import benchmark
from latte_llava.replica import Replica
from llava_checkpoints import checkpoint

from latte.testing import TinyRuns

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
README = Path(__file__).parents[1] / "README.md"


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

    monkeypatch.setattr(Replica, "answer", unused)
    again = latte_runs.run(recipe, output="second", until="evaluate") / "descriptions.jsonl"
    assert again.read_text(encoding="utf-8") == texts


def test_recipes_of_the_readme_are_valid(latte_runs: TinyRuns) -> None:
    found = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    recipes = [text for text in found if "dataset:" in text]
    assert recipes
    (latte_runs.folder / "images").rename(latte_runs.folder / "photos")
    colours = sorted(one.name for one in (latte_runs.folder / "test").iterdir())
    (latte_runs.folder / "classes.txt").write_text("\n".join(colours))
    for text in recipes:
        checked = latte_runs.check(text)
        assert checked.get("describer") or checked.get("describers")


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
