"""The measurement of label-free scores over variants of a CLIP."""

from __future__ import annotations

import pytest
import torch

from benchmarks import choose
from benchmarks.choose import Result, accuracy_lines, class_graphs, correlation_lines
from benchmarks.folder_cells import Folder, Images


def result(accuracy: float, score: float) -> Result:
    return Result(accuracy, 2 * accuracy, torch.tensor([0, 1]), {"good": score, "bad": -score})


def test_tables_have_correlations_and_points_lost() -> None:
    found = {
        name: {f"m{number}": result(10.0 * number, float(number)) for number in range(4)}
        for name in ("one", "two")
    }
    lines = correlation_lines(found, "zero_shot")
    assert lines[1].split() == ["good", "1.00", "1.00", "1.00", "0.0"]
    assert lines[2].split() == ["bad", "-1.00", "-1.00", "-1.00", "30.0"]
    assert correlation_lines(found, "adapted")[2].split()[-1] == "60.0"
    assert accuracy_lines(found)[-1].split() == ["m3", *["30.0/60.0"] * 2, "1.00"]


def test_class_graphs_prefer_texts_that_match_the_images() -> None:
    generator = torch.Generator().manual_seed(0)
    texts = torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1)
    labels = torch.arange(6).repeat_interleave(20)
    noise = 0.05 * torch.randn(120, 8, generator=generator)
    images = torch.nn.functional.normalize(texts[labels] + noise, dim=1)
    own = Images(images, labels)

    def score(rows: torch.Tensor) -> float:
        folder = Folder(tuple("abcdef"), rows, 50.0, own, own, torch.ones(6))
        return class_graphs(folder, labels)

    assert score(texts) > score(texts.roll(1, dims=0)) + 0.5


@pytest.mark.thorough
def test_variants_of_each_kind_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ("as it is", "one block less", "one text layer less", "128 pixels, text noise")
    variants = [one for one in choose.VARIANTS if one.name in kinds]
    monkeypatch.setattr(choose, "VARIANTS", variants)
    choose.main(["--images", "12"])
    said = capsys.readouterr().out
    assert len(variants) == len(kinds)
    assert all(words in said for words in ("neighbours (latte choose)", *kinds))
