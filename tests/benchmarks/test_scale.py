"""Memory and time of each stage grow at most linearly with images and classes.

The slope is measured by tracemalloc between two sizes, so that what a stage needs anyway does not
count; features are not seen by it.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.scale_stages import STAGES, World
from latte.models import calibrating
from latte.toolkit import blocks

pytestmark = pytest.mark.thorough

MOST_KEPT = 1_200
"""Bytes an image after any stage, with two texts of 150 bytes about each."""
MOST_NEEDED = 1_500
"""Bytes an image at the peak of the fattest stage, what earlier stages keep included."""


def measured(folder: Path, images: int, classes: int) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes kept after each stage, and at its peak."""
    folder.mkdir()
    world = World(folder, images, classes, images // 10, width=4)
    sizes, peaks = {}, {}
    tracemalloc.start()
    try:
        for stage in STAGES:
            tracemalloc.reset_peak()
            stage(world)
            sizes[stage.__name__], peaks[stage.__name__] = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return sizes, peaks


def enlarge_interned() -> None:
    """Intern strings until Python enlarges its table of them, by megabytes at once.

    Paths intern their parts. An enlargement in a measured stage would count as bytes per image.
    """
    tracemalloc.start()
    size_before, strings = 0, []
    try:
        while tracemalloc.get_traced_memory()[0] < size_before + 2**20:
            size_before = tracemalloc.get_traced_memory()[0]
            strings.append(sys.intern(f"string {len(strings)} to enlarge the table"))
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def slopes() -> tuple[dict[str, float], dict[str, float]]:
    """Bytes an image, between 1,000 and 3,000 images of 20 classes.

    Paths are part of what is kept, so that the folder's name has the same length in each run. The
    smaller of two differences counts: a cache that grows once, in one of the runs, is no cost of
    an image.
    """
    enlarge_interned()
    kept_bytes: list[dict[str, float]] = []
    peaks: list[dict[str, float]] = []
    with TemporaryDirectory() as folder:
        for turn in range(2):
            few, many = (
                measured(Path(folder, f"{count}-{turn}"), count, 20) for count in (1_000, 3_000)
            )
            for sizes, small, large in zip((kept_bytes, peaks), few, many, strict=True):
                sizes.append({name: (large[name] - small[name]) / 2_000 for name in large})
    least = [
        {name: min(run_sizes[name] for run_sizes in sizes) for name in sizes[0]}
        for sizes in (kept_bytes, peaks)
    ]
    return least[0], least[1]


def test_kept_bytes_an_image_are_bounded(
    slopes: tuple[dict[str, float], dict[str, float]],
) -> None:
    kept_bytes, _ = slopes
    assert {name: size for name, size in kept_bytes.items() if size > MOST_KEPT} == {}


def test_needed_bytes_an_image_are_bounded(
    slopes: tuple[dict[str, float], dict[str, float]],
) -> None:
    _, peaks = slopes
    assert {name: size for name, size in peaks.items() if size > MOST_NEEDED} == {}


@pytest.mark.parametrize(
    ("stage", "most"),
    [("list_images", 300), ("scan", 450), ("write_lists", 420), ("plan", 720)],
)
def test_stages_before_there_are_texts_need_less(
    slopes: tuple[dict[str, float], dict[str, float]], stage: str, most: float
) -> None:
    _, peaks = slopes
    assert peaks[stage] < most


class LargestTensor(TorchDispatchMode):
    """Remembers how many entries the largest floating-point result of any operation had."""

    entries = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            self.entries = max(self.entries, result.numel())
        return result


def test_outside_of_training_no_tensor_has_an_entry_for_each_image_and_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, classes, labelled = 600, 60, 60
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", 1_000)
    monkeypatch.setattr(calibrating, "_MOST_NUMBERS", 1_000)
    world = World(tmp_path, images, classes, labelled, width=4)
    largest = {}
    for stage in STAGES:
        with LargestTensor() as seen:
            stage(world)
        largest[stage.__name__] = seen.entries
    del largest["train"]  # whose batch of 512 meets every class
    assert largest["label"] == images * world.width
    assert {name: size for name, size in largest.items() if size >= labelled * classes} == {}
