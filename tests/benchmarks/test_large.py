"""The benchmark of many images draws features like those of the sets, and compares labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from latte_author.testing.fixtures import unit_rows
from safetensors.torch import save_file
from torch.nn.functional import normalize

from benchmarks import large
from benchmarks.scale_features import drawn_features
from latte.toolkit import neighbours

WIDTH = 64


def labelled_file(folder: Path) -> Path:
    """Write a file of features of three classes."""
    texts, labels = unit_rows(3, WIDTH, seed=0), torch.arange(30) % 3
    images = normalize(texts[labels] + 0.5 * unit_rows(30, WIDTH, seed=1), dim=1)
    tensors = {"class_features": texts}
    for name, rows in (("training", slice(0, 20)), ("evaluation", slice(20, 30))):
        tensors |= {name: images[rows].clone(), f"{name}_labels": labels[rows].clone()}
    path = folder / "set.safetensors"
    save_file(tensors, path, metadata={"classes": json.dumps(["a", "b", "c"]), "logit_scale": "20"})
    return path


def test_drawn_images_are_nearest_to_the_mean_of_their_class(tmp_path: Path) -> None:
    drawn = drawn_features([labelled_file(tmp_path)], WIDTH, 200, 3)
    assert drawn.logit_scale == 20
    torch.testing.assert_close(drawn.images.norm(dim=1), torch.ones(200))
    assert float(((drawn.images @ drawn.texts.T).argmax(1) == drawn.labels).double().mean()) > 0.9


def test_exact_comparison_prints_recall_and_changed_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "EXACT_ROWS", neighbours.EXACT_ROWS)  # restored afterwards
    files = ["--features", str(labelled_file(tmp_path))]
    large.main(
        [
            "--images",
            "300",
            "--classes",
            "4",
            "--width",
            str(WIDTH),
            "--answers",
            "9",
            "--exact",
            *files,
        ]
    )
    printed = capsys.readouterr().out
    assert "recall of neighbours: " in printed
    assert "labels that cells change: " in printed
