"""Fixture of the tests of training: trainings of the tiny CLIP on images of plain colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latte.backbone.open_clip import OpenClipBackbone
from latte.train.training import Training
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_engine import make_training


@pytest.fixture
def make(
    tiny_backbone: OpenClipBackbone,
    colour_images: Callable[..., Path],
    tmp_path: Path,
    silent_progress: RecordedProgress,
) -> Callable[..., Training]:
    """Return a function that makes trainings; modules override it with their own settings."""
    images = colour_images(per_class=5)

    def build(name: str = "run", **changes: Any) -> Training:
        return make_training(tiny_backbone, images, tmp_path / name, silent_progress, **changes)

    return build
