"""Features that are kept are those that were encoded, or are encoded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from faults.damage import DAMAGES
from latte.run.kept_features import kept_features
from tests.conftest import RecordedProgress

FEATURES = torch.arange(35, dtype=torch.float32).reshape(5, 7)


@pytest.fixture
def features(tmp_path: Path) -> Callable[[], tuple[Tensor, bool, RecordedProgress]]:
    """What is got from the cache in `tmp_path`, whether it was encoded, and what was said."""

    def get() -> tuple[Tensor, bool, RecordedProgress]:
        encoded: list[bool] = []
        progress = RecordedProgress()

        def encode() -> Tensor:
            encoded.append(True)
            return FEATURES.clone()

        found = kept_features(tmp_path, ("clip", "images"), encode, (5, 7), progress, "encode")
        return found, bool(encoded), progress

    return get


Features = Callable[[], tuple[Tensor, bool, RecordedProgress]]


def test_they_are_encoded_once(features: Features) -> None:
    assert features()[1]
    found, again, _ = features()
    assert not again
    assert torch.equal(found, FEATURES)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_ones_are_encoded_again_and_kept_again(
    features: Features, tmp_path: Path, damage: str
) -> None:
    features()
    (path,) = (tmp_path / "features").iterdir()
    DAMAGES[damage](path)
    found, again, _ = features()
    assert again
    assert torch.equal(found, FEATURES)
    assert not features()[1]


def test_a_cache_that_cannot_be_written_is_told_and_costs_nothing_else(
    features: Features, tmp_path: Path
) -> None:
    (tmp_path / "features").write_text("a file where the folder should be")
    found, _, progress = features()
    assert torch.equal(found, FEATURES)
    assert any("features are not kept" in line for line in progress.lines)
