"""A whole run on tars, with the tiny CLIP and without training."""

from __future__ import annotations

import webdataset_shards as shards
from latte_author.testing import TinyRuns

_RECIPE = """
dataset: {use: webdataset, root: data}
backbone: {model: "local-dir:clip"}
prototypes: templates
train: {max_steps: 0}
"""


def test_latte_run_reads_tars(latte_runs: TinyRuns) -> None:
    shards.write_benchmark(latte_runs.folder / "data")
    run = latte_runs.run(_RECIPE)
    assert "test/0.tar/0020.png" in (run / "predictions.csv").read_text()
    labels = run / "pseudo_labels.csv"
    assert labels.read_text().count("train/") == 9
