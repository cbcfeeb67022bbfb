"""The benchmark of a training step runs, and refuses to compare steps that differ."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main

pytestmark = pytest.mark.thorough

TINY = ["step", "--shape", "tiny", "--batch", "5", "--rounds", "1"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_steps_are_measured(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, "--precision", precision])
    printed = capsys.readouterr().out
    assert "textbook: " in printed
    assert "latte: " in printed
    assert "ratio: " in printed
    assert "308.0 tokens" in printed  # four texts at the full context


def test_one_side_alone_has_no_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, "--side", "latte"])
    printed = capsys.readouterr().out
    assert "latte: " in printed
    assert "ratio" not in printed


def test_steps_that_differ_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.reference_step.ALPHA", 0.05)
    with pytest.raises(SystemExit, match="the two steps differ"):
        main(TINY)


def test_an_unknown_measurement_is_refused() -> None:
    with pytest.raises(SystemExit, match="usage"):
        main(["nothing"])
