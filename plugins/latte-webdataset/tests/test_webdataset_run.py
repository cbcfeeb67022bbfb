"""A whole run on tars, with the tiny CLIP and without training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import webdataset_shards as shards

_RECIPE = """
dataset: {use: webdataset, root: data}
backbone: {model: "plugin:tiny"}
prototypes: templates
train: {max_steps: 0}
output: run
"""


def test_latte_run_reads_tars(tmp_path: Path) -> None:
    shards.write_benchmark(tmp_path / "data")
    (tmp_path / "recipe.yaml").write_text(_RECIPE)
    environment = os.environ | {"LATTE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "latte", "run", "recipe.yaml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    [evaluation] = tmp_path.rglob("evaluation.json")
    assert json.loads(evaluation.read_text())
    [predictions] = tmp_path.rglob("predictions.csv")
    assert "test/0.tar/0020.png" in predictions.read_text()
