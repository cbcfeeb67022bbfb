"""A step reads no number from the device, as that would wait for its work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import Classifier
from latte.train import loop
from latte.train.loop import train
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_engine import latteclip_part, make_training

pytestmark = pytest.mark.thorough


class Reads(TorchDispatchMode):
    """Counts numbers that are read from tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
        if function is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
        return function(*args, **(kwargs or {}))


def test_reads_counts_numbers_read_from_tensors() -> None:
    with Reads() as reads:
        torch.ones(1).item()
        bool(torch.ones(1) > 0)
        int(torch.arange(3).max())
    assert reads.count == 3


def test_no_number_is_read_during_a_step(
    tiny_backbone: OpenClipBackbone,
    colour_images: Callable[..., Path],
    tmp_path: Path,
    silent_progress: RecordedProgress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = make_training(
        tiny_backbone, colour_images(per_class=5), tmp_path / "run", silent_progress
    )
    counts: list[int] = []
    plain = loop._step

    def watched(*arguments: Any) -> Any:
        with Reads() as reads:
            figures = plain(*arguments)
        counts.append(reads.count)
        return figures

    monkeypatch.setattr(loop, "_step", watched)
    train(training, silent_progress)
    # The first step may count the classes.
    assert counts[0] <= 1
    assert counts[1:] == [0] * 6
    rows = [json.loads(row) for row in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert all(isinstance(row["loss"], float) for row in rows if row["event"] == "step")


def test_displayed_loss_is_read_at_most_once_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: seconds[0])
    shown = loop._ShownLoss()
    assert shown.of({"a.loss": torch.tensor(1.0), "b.loss": torch.tensor(2.0)}) == "3.000"
    assert shown.of({"loss": torch.tensor(9.0)}) == "3.000"
    seconds[0] = 1.0
    assert shown.of({"loss": torch.tensor(9.0), "loss.weight_of_loss": 3.0}) == "9.000"


def test_notes_of_a_backbone_are_printed_once(
    tiny_backbone: OpenClipBackbone, colour_images: Callable[..., Path], tmp_path: Path
) -> None:
    progress = RecordedProgress()
    training = make_training(
        tiny_backbone,
        colour_images(per_class=5),
        tmp_path / "run",
        progress,
        parts=[latteclip_part("one"), latteclip_part("two")],
    )
    for learner in training.learners:
        learner.backbone.notes = ("texts are padded",)
    train(training, progress)
    assert progress.lines.count("train: texts are padded") == 1


def test_classifier_caches_its_number_of_classes() -> None:
    owners = torch.tensor([0, 2, 1, 2])
    assert Classifier(torch.eye(4), owners).classes == 3
    with Reads() as reads:
        assert Classifier(torch.eye(4), owners).classes == 3
    assert reads.count == 0
    assert Classifier(torch.eye(4), torch.tensor([0, 1, 2, 3])).classes == 4
