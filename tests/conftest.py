"""Fixtures of the whole suite: a tiny CLIP, a progress that records, images of plain colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.plugin_zoo import (
    zoo as zoo,  # one for the whole suite: its modules stay imported
)
from tests.helpers.recorded import (
    RecordedProgress,
    write_colour_images,
)

if TYPE_CHECKING:
    from latte.backbone.open_clip import OpenClipBackbone

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "gray", "white", "black")


@pytest.fixture(scope="session")
def tiny_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random CLIP (32 px, D = 16); read it, do not write into it."""
    from tests.helpers.clip_models import TINY_CLIP, build_clip

    folder = tmp_path_factory.mktemp("tiny-clip")
    build_clip(TINY_CLIP).save(folder)
    return folder


@pytest.fixture
def tiny_backbone(tiny_clip_folder: Path) -> OpenClipBackbone:
    """A fresh copy of the tiny CLIP, which a test may train."""
    from tests.helpers.clip_models import open_model

    return open_model(f"local-dir:{tiny_clip_folder}", tiny_clip_folder)


@pytest.fixture
def silent_progress() -> RecordedProgress:
    """Return a progress that records its `tasks` and `lines`."""
    return RecordedProgress()


@pytest.fixture
def colour_images(tmp_path: Path) -> Callable[..., Path]:
    """Writes `<folder>/<colour>/<number>.jpg`, distinct images of one colour each."""

    def write(
        classes: Sequence[str] = ("red", "green", "blue"),
        per_class: int = 3,
        size: tuple[int, int] = (40, 36),
        folder: str = "images",
    ) -> Path:
        return write_colour_images(tmp_path / folder, classes, per_class, size)

    return write
