"""The two measuring programs of the package say what they should on small inputs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from latte_transductive import accuracy, benchmark
from safetensors.torch import save_file
from torch.nn.functional import normalize


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run on 12 images, of which the zero-shot texts of two classes are swapped, and its split.

    The split numbers its classes 1 and 7, and lists them in another order than the run.
    """
    points = torch.eye(2, 8)
    rows = torch.arange(12) % 2
    noise = 0.05 * torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    images = normalize(points[rows] + noise, dim=1)
    save_file(
        {"training": images, "class_features": points.flip(0).contiguous()},
        tmp_path / "zero_shot.safetensors",
    )
    names = [f"{number:02}.jpg" for number in range(12)]
    lines = ["image,zero_shot,adapted", *(f"{name},a,a" for name in names)]
    (tmp_path / "pseudo_labels.csv").write_text("\n".join(lines) + "\n")
    entries = [[name, (1, 7)[row], "x"] for name, row in zip(names, rows.tolist(), strict=True)]
    split = {"train": entries[::-1], "val": [], "test": []}
    (tmp_path / "split.json").write_text(json.dumps(split))
    (tmp_path / "model").mkdir()
    save_file(
        {"logit_scale": torch.tensor(math.log(25.0))},
        tmp_path / "model" / "open_clip_model.safetensors",
    )
    return tmp_path


def test_truth_and_scale_are_read_from_the_run_and_its_split(run_folder: Path) -> None:
    truth = accuracy.true_labels(run_folder / "pseudo_labels.csv", run_folder / "split.json")
    assert truth.tolist() == [0, 1] * 6
    assert accuracy.logit_scale(run_folder).item() == pytest.approx(25.0)


def test_accuracy_counts_what_is_right(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts that are swapped are wrong about every image, and so is what follows them."""
    split = str(run_folder / "split.json")
    monkeypatch.setattr("sys.argv", ["accuracy", str(run_folder), "--split", split])
    accuracy.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "12 images, 2 classes"
    assert lines[1] == "zero-shot: 0.0%, mean over classes 0.0%, classes 2"
    assert len(lines) == 2 + len(accuracy.SETTINGS)


def test_the_benchmark_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["benchmark", "--images", "60", "--classes", "4", "--width", "32"]
    monkeypatch.setattr("sys.argv", arguments)
    benchmark.main()
    out = capsys.readouterr().out
    assert out.startswith("60 images, 4 classes, width 32")
    assert "total:" in out
