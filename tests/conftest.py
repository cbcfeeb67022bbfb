"""Fixtures of the whole suite: a tiny CLIP, a progress that records, images of plain colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.registry.zoo import zoo as zoo  # one for the whole suite: its modules stay imported

if TYPE_CHECKING:
    from latte.backbone.open_clip import OpenClipBackbone

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "gray", "white", "black")


@pytest.fixture(scope="session")
def tiny_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random CLIP (32 px, D = 16); read it, do not write into it."""
    from tests.backbone.models import TINY_CLIP, build_clip

    folder = tmp_path_factory.mktemp("tiny-clip")
    build_clip(TINY_CLIP).save(folder)
    return folder


@pytest.fixture
def tiny_backbone(tiny_clip_folder: Path) -> OpenClipBackbone:
    """A fresh copy of the tiny CLIP, which a test may train."""
    from tests.backbone.models import open_model

    return open_model(f"local-dir:{tiny_clip_folder}", tiny_clip_folder)


@pytest.fixture
def real_clip_folder() -> Path:
    """The small CLIP that latte-tiny ships: real weights, for tests of what people get."""
    folder = Path(__file__).parent.parent / "plugins/latte-tiny/latte_tiny/clip"
    assert (folder / "open_clip_config.json").is_file(), f"{folder} holds no model"
    return folder


@dataclass
class RecordedTask:
    """What one progress task was told."""

    name: str
    total: int
    unit: str
    done: int
    figures: list[dict[str, float | str]] = field(default_factory=list)
    closed: bool = False

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        self.done += amount
        self.figures.append(figures)


@dataclass
class RecordedProgress:
    """A `Progress` that shows nothing and remembers everything."""

    tasks: list[RecordedTask] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @contextmanager
    def task(self, name: str, total: int, unit: str, done: int = 0) -> Iterator[RecordedTask]:
        task = RecordedTask(name, total, unit, done)
        self.tasks.append(task)
        yield task
        task.closed = True

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def silent_progress() -> RecordedProgress:
    """Where tests send progress: look into `tasks` and `lines`."""
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


def write_colour_images(
    root: Path, classes: Sequence[str], per_class: int, size: tuple[int, int]
) -> Path:
    """Write `root/<colour>/<number>.jpg`; returns `root`."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            _colour_image(name, number, size).save(root / name / f"{number:03}.jpg", quality=90)
    return root


def _colour_image(colour: str, number: int, size: tuple[int, int]) -> Image.Image:
    """A plane of `colour` (any of `COLOURS`) with a square whose place and shade tell `number`."""
    image = Image.new("RGB", size, colour)
    corner = (3 * number % (size[0] // 2), 5 * number % (size[1] // 2))
    shade = (40 + 31 * number) % 256
    square = Image.new("RGB", (size[0] // 3, size[1] // 3), (shade, shade, shade))
    image.paste(square, corner)
    return image
