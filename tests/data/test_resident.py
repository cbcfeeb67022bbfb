"""Images stay on the device where the settings want them there and memory takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from latte.data import device_views as resident
from latte.data.cache import ImageCache
from latte.data.device_views import make_device_views, resident_images
from latte.data.views import TrainingView
from latte.interfaces import LatteError, PixelFormat
from latte.interfaces.settings import AugmentSettings, TrainSettings
from tests.helpers.pictures import SilentProgress, references
from tests.helpers.recorded import RecordedProgress

FORMAT = PixelFormat(size=32, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))
CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(references(tmp_path, 9, width=90, height=70))


def made(cache: ImageCache, progress: Any, **settings: Any) -> Any:
    train = TrainSettings(**settings)
    view = TrainingView(FORMAT, train.augment, seed=0)
    return make_device_views(view, cache, "cpu", train, progress)


def test_images_that_take_too_much_are_not_kept(cache: ImageCache) -> None:
    bytes_each = 90 * 70 * 3
    progress = SilentProgress()
    assert resident_images(cache, CPU, 9 * bytes_each, progress) is not None
    assert resident_images(cache, CPU, 9 * bytes_each - 1, progress) is None


def test_on_a_cpu_views_are_made_as_ever_unless_the_device_is_asked_for(cache: ImageCache) -> None:
    progress = RecordedProgress()
    assert made(cache, progress) is None
    assert made(cache, progress, augment_on="cpu") is None
    assert progress.lines == []
    assert made(cache, progress, augment_on="device") is not None
    assert "train: 9 images stay on cpu, where their views are made" in progress.lines


@pytest.mark.parametrize("settings", [{"augment": None}, {"max_steps": 0}, {"max_epochs": 0}])
def test_where_no_random_view_is_needed_none_is_prepared(
    cache: ImageCache, settings: dict[str, Any]
) -> None:
    assert AugmentSettings() == TrainSettings().augment
    assert made(cache, SilentProgress(), augment_on="device", **settings) is None


def test_images_that_must_be_there_and_do_not_fit_are_an_error(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_budget", lambda device: 1000)
    with pytest.raises(LatteError, match="more than 25% of the memory of cpu"):
        made(cache, SilentProgress(), augment_on="device")


def test_a_device_without_64_bits_is_refused(cache: ImageCache) -> None:
    train = TrainSettings(augment_on="device")
    view = TrainingView(FORMAT, train.augment, seed=0)
    with pytest.raises(LatteError, match="cannot be made on mps"):
        make_device_views(view, cache, "mps", train, SilentProgress())


def test_a_device_that_runs_out_of_memory_leaves_views_to_the_cpu(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(resident.torch, "tensor", full)
    assert resident_images(cache, CPU, None, SilentProgress()) is None
