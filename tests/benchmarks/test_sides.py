"""Measurements of two sides: both, one alone, and none if the sides give different results."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from latte_llava.describer import LlavaDescriber
from torch import Tensor

from benchmarks import reclip
from benchmarks.__main__ import main
from latte.api import DescribeRequest
from latte.data.compiled_views import compiled_views

DESCRIBE = [
    *("describe", "--images", "3", "--batch", "3"),
    *("--rounds", "1", "--max-new-tokens", "4"),
]
EPOCH = ["epoch", "--shape", "tiny", "--images", "6", "--batch", "3", "--rounds", "2"]
RECLIP = ["reclip", "--images", "200", "--classes", "5", "--width", "16", "--rounds", "1"]
STEP = ["step", "--shape", "tiny", "--batch", "5", "--rounds", "1"]

TEXTBOOK = ("textbook: ", "latte: ", "308.0 tokens")
"""Words about a step, which has four texts at the full context."""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (DESCRIBE, ("batch 1: ", "batch 3: ", "equal texts: 3 of 3", "peak memory")),
        (RECLIP, ("dense: ", "latte: ", "equal labels: 100.00%")),
        *(
            pytest.param([*arguments, "--precision", precision], words, marks=pytest.mark.thorough)
            for arguments, words in (
                (STEP, TEXTBOOK),
                (EPOCH, (*TEXTBOOK, "difference after 3 epochs")),
            )
            for precision in ("fp32", "bf16")
        ),
    ],
)
def test_both_sides_are_measured(
    arguments: list[str], words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments)
    printed = capsys.readouterr().out
    for word in ("ratio: ", *words):
        assert word in printed, word


@pytest.mark.slow
def test_each_loader_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["loader", "--images", "6", "--rounds", "2"])
    printed = capsys.readouterr().out
    compiled = "latte, compiled" if compiled_views() else "latte-views is not installed or not used"
    for words in ("plain", "published", compiled, "images/s", "MiB for 6 images", "peak memory"):
        assert words in printed, words


@pytest.mark.parametrize(
    ("arguments", "side", "shown", "hidden"),
    [
        (DESCRIBE, "batch", "batch 3: ", "batch 1: "),
        (RECLIP, "latte", "latte: ", "dense: "),
        pytest.param(STEP, "latte", "latte: ", "textbook: ", marks=pytest.mark.thorough),
        pytest.param(EPOCH, "latte", "latte: ", "textbook: ", marks=pytest.mark.thorough),
        pytest.param(EPOCH, "textbook", "textbook: ", "latte: ", marks=pytest.mark.thorough),
    ],
)
def test_one_side_alone_has_no_ratio(
    arguments: list[str], side: str, shown: str, hidden: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*arguments, "--side", side])
    printed = capsys.readouterr().out
    assert shown in printed
    assert hidden not in printed
    assert "ratio" not in printed


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [STEP, EPOCH])
def test_training_that_differs_is_not_compared(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.reference_step.ALPHA", 0.05)
    with pytest.raises(SystemExit, match=f"the two {arguments[0]}s differ"):
        main(arguments)


def test_other_texts_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    original = LlavaDescriber.describe

    def wrong(self: LlavaDescriber, requests: Sequence[DescribeRequest]) -> list[str]:
        texts = original(self, requests)
        assert self._loaded is not None
        return texts if self._loaded.model.limit == 1 else [*texts[:-1], "something else"]

    monkeypatch.setattr(LlavaDescriber, "describe", wrong)
    with pytest.raises(SystemExit, match="wrote other texts"):
        main(DESCRIBE)


def test_other_labels_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.linalg.solve

    def wrong(system: Tensor, sources: Tensor) -> Tensor:
        solved: Tensor = original(system, sources)
        return solved.roll(1, dims=1)

    monkeypatch.setattr(torch.linalg, "solve", wrong)
    with pytest.raises(SystemExit, match="of the labels are equal"):
        main(RECLIP)


def test_whole_matrices_of_many_images_are_refused() -> None:
    with pytest.raises(SystemExit, match="--side latte"):
        main(["reclip", "--images", str(reclip.LARGEST_DENSE + 1)])


def test_an_unknown_measurement_is_refused() -> None:
    with pytest.raises(SystemExit, match="usage"):
        main(["nothing"])
