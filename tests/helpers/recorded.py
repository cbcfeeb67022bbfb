"""A progress that records its calls, and folders of coloured images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image


@dataclass
class RecordedTask:
    """Calls of one progress task."""

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


def write_colour_images(
    root: Path, classes: Sequence[str], per_class: int, size: tuple[int, int]
) -> Path:
    """Write `root/<colour>/<number>.jpg`, and return `root`."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            _colour_image(name, number, size).save(root / name / f"{number:03}.jpg", quality=90)
    return root


def _colour_image(colour: str, number: int, size: tuple[int, int]) -> Image.Image:
    """Return an image in `colour` with a grey square whose place and shade depend on `number`."""
    image = Image.new("RGB", size, colour)
    corner = (3 * number % (size[0] // 2), 5 * number % (size[1] // 2))
    shade = (40 + 31 * number) % 256
    square = Image.new("RGB", (size[0] // 3, size[1] // 3), (shade, shade, shade))
    image.paste(square, corner)
    return image
