"""A whole run on tars, with the tiny CLIP and without training."""

from __future__ import annotations

from pathlib import Path

import pytest
import webdataset_shards as shards

from latte.cli.main import run_command_line

_RECIPE = """
dataset: {use: webdataset, root: data}
backbone: {model: "plugin:tiny"}
prototypes: templates
train: {max_steps: 0}
output: run
"""


def test_latte_run_reads_tars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards.write_benchmark(tmp_path / "data")
    (tmp_path / "recipe.yaml").write_text(_RECIPE)
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["run", "recipe.yaml"]) == 0
    [predictions] = tmp_path.rglob("predictions.csv")
    assert "test/0.tar/0020.png" in predictions.read_text()
    [labels] = tmp_path.rglob("pseudo_labels.csv")
    assert labels.read_text().count("train/") == 9
