"""Whole epochs from files to prototypes are measured, and must end alike."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main

pytestmark = pytest.mark.thorough

TINY = ["epoch", "--shape", "tiny", "--images", "6", "--batch", "3", "--rounds", "2"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_epochs_are_measured(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, "--precision", precision])
    printed = capsys.readouterr().out
    assert "textbook: " in printed
    assert "latte: " in printed
    assert "ratio: " in printed
    assert "308.0 tokens" in printed  # four texts at the full context
    assert "difference after 3 epochs" in printed


@pytest.mark.parametrize("side", ["textbook", "latte"])
def test_one_side_alone_has_no_ratio(side: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, "--side", side])
    printed = capsys.readouterr().out
    assert f"{side}: " in printed
    assert "ratio" not in printed


def test_epochs_that_differ_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.reference_step.ALPHA", 0.05)
    with pytest.raises(SystemExit, match="the two epochs differ"):
        main(TINY)
