"""Batches are measured against single images, and must write the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from latte_llava.describer import LlavaDescriber

from benchmarks.__main__ import main
from latte.api import DescribeRequest

TINY = [
    *("describe", "--images", "3", "--batch", "3"),
    *("--rounds", "1", "--max-new-tokens", "4"),
]


def test_batches_are_measured_against_single_images(capsys: pytest.CaptureFixture[str]) -> None:
    main(TINY)
    printed = capsys.readouterr().out
    assert "batch 1: " in printed
    assert "batch 3: " in printed
    assert "ratio: " in printed
    assert "equal texts: 3 of 3" in printed
    assert "peak memory" in printed


def test_other_texts_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    original = LlavaDescriber.describe

    def wrong(self: LlavaDescriber, requests: Sequence[DescribeRequest]) -> list[str]:
        texts = original(self, requests)
        assert self._loaded is not None
        return texts if self._loaded.model.limit == 1 else [*texts[:-1], "something else"]

    monkeypatch.setattr(LlavaDescriber, "describe", wrong)
    with pytest.raises(SystemExit, match="wrote other texts"):
        main(TINY)


def test_one_side_alone_has_no_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    main([*TINY, "--side", "batch"])
    printed = capsys.readouterr().out
    assert "batch 1: " not in printed
    assert "ratio" not in printed
