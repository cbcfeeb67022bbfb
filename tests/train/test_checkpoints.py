"""Checkpoints: their size and number, damaged files, and files that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from latte.interfaces import LatteError, TrainableGroup
from latte.io.tensor_files import save_tensors
from latte.train.checkpoint import load_checkpoint, save_checkpoint
from latte.train.training import Training
from tests.faults.damage import cut, emptied, turned
from tests.helpers.training_engine import SETTINGS, latteclip_part, with_settings
from tests.helpers.training_runs import run

pytestmark = pytest.mark.thorough

HEADER = 20_000
"""Bytes for names and shapes, at most."""


@pytest.fixture
def train(make: Callable[..., Training]) -> Callable[..., Training]:
    def build(group: TrainableGroup, **changes: Any) -> Training:
        settings = with_settings(SETTINGS, checkpoint_every=1, **changes)
        return run(make(group, settings=settings, parts=[latteclip_part(trainable=group)]))

    return build


def sizes(training: Training) -> list[int]:
    """Bytes of each checkpoint."""
    folders = sorted((training.folder / "checkpoints").iterdir())
    return [sum(file.stat().st_size for file in folder.iterdir()) for folder in folders]


@pytest.mark.parametrize("group", ["projections", "visual_layer_norms", "none"])
def test_a_checkpoint_is_as_large_as_what_trains_with_its_two_moments(
    train: Callable[..., Training], group: TrainableGroup
) -> None:
    training = train(group)
    (learner,) = training.learners
    trained = sum(value.nbytes for value in learner.parameters.values())
    model_bytes = sum(value.nbytes for value in learner.backbone.state().values())
    prototypes = learner.aggregator.classifier().weights.nbytes
    assert trained < model_bytes / 100
    assert max(sizes(training)) <= 3 * trained + prototypes + HEADER


def test_checkpoint_with_another_shape_raises_error(
    train: Callable[..., Training],
) -> None:
    """torch would copy a single number into a whole matrix."""
    training = train("projections")
    folder = training.folder / "checkpoints"
    newest = max(path for path in folder.iterdir() if path.name.startswith("step-"))
    tensors = load_file(newest / "state.safetensors")
    name = next(name for name in tensors if "/weights/" in name and tensors[name].ndim == 2)
    save_tensors(newest / "state.safetensors", tensors | {name: torch.ones(1)})
    with pytest.raises(LatteError, match="does not fit this recipe") as error:
        load_checkpoint(folder, training.learners, training.inputs.labelers)
    assert str(newest) in str(error.value)


def garbled(path: Path) -> None:
    path.write_bytes(b"garbage" * 100)


@pytest.mark.parametrize("damage", [emptied, cut, garbled, turned])
def test_previous_checkpoint_replaces_a_damaged_one(
    train: Callable[..., Training],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    training = train("projections", max_steps=3)
    folder = training.folder / "checkpoints"
    (folder / "step-of-a-user").mkdir()
    damage(folder / "step-000003" / "state.safetensors")
    assert load_checkpoint(folder, training.learners, training.labelers) == 2
    assert "step-000003 is damaged and not used" in caplog.text


def test_half_removed_checkpoint_is_ignored_and_removed_later(
    train: Callable[..., Training],
) -> None:
    training = train("projections", max_steps=3)
    folder = training.folder / "checkpoints"
    half = folder / "step-000009"
    half.mkdir()
    assert load_checkpoint(folder, training.learners, training.labelers) == 3
    save_checkpoint(folder, 4, training.learners, training.labelers)
    assert not half.exists()
    assert [path.name for path in sorted(folder.glob("step-*"))] == ["step-000003", "step-000004"]


def test_failed_write_leaves_no_partial_checkpoint(
    train: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = train("projections", max_steps=3)
    folder = training.folder / "checkpoints"
    files_before = sorted(folder.rglob("*"))

    def full(path: Path, tensors: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("latte.train.checkpoint.save_tensors", full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(folder, 4, training.learners, training.labelers)
    assert sorted(folder.rglob("*")) == files_before
