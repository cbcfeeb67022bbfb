"""The benchmark of a training step runs, and refuses to compare steps that differ."""

from __future__ import annotations

import pytest
import torch

from benchmarks import step
from benchmarks.__main__ import main

TINY = ["step", "--shape", "tiny", "--batch", "5", "--rounds", "1"]


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The measurement changes settings of the whole process."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(step, "keep_freed_memory", lambda: True)
    monkeypatch.setattr(step, "cpu_peak", lambda dtype: 1e9)
    yield
    torch.set_num_threads(threads)


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
