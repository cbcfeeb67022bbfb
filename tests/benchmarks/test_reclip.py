"""Sparse propagation is measured against whole matrices, and must label alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks import reclip
from benchmarks.__main__ import main

TINY = ["reclip", "--images", "200", "--classes", "5", "--width", "16", "--rounds", "1"]


def test_both_ways_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(TINY)
    printed = capsys.readouterr().out
    assert "dense: " in printed
    assert "latte: " in printed
    assert "ratio: " in printed
    assert "equal labels: 100.00%" in printed


def test_other_labels_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.linalg.solve

    def wrong(system: Tensor, sources: Tensor) -> Tensor:
        solved: Tensor = original(system, sources)
        return solved.roll(1, dims=1)

    monkeypatch.setattr(torch.linalg, "solve", wrong)
    with pytest.raises(SystemExit, match="of the labels are equal"):
        main(TINY)


def test_whole_matrices_of_many_images_are_refused() -> None:
    with pytest.raises(SystemExit, match="--side latte"):
        main(["reclip", "--images", str(reclip.LARGEST_DENSE + 1)])


def test_latte_runs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, "--side", "latte"])
    printed = capsys.readouterr().out
    assert "latte: " in printed
    assert "dense: " not in printed
