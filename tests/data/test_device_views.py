"""Device views equal Pillow's up to rounding; images stay on the device if they fit."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from latte.data import device_views as module
from latte.data.augmentation import (
    Augmentation,
    ColourChange,
    augmented_pixels,
    sample_augmentation,
)
from latte.data.batches import training_batches
from latte.data.cache import ImageCache
from latte.data.device_colours import _mean, change_colours, plan_changes
from latte.data.device_crops import ResidentImages, plan_crops, resized_crops
from latte.data.device_views import DeviceViews, make_device_views, resident_images
from latte.data.views import TrainingView
from latte.interfaces import LatteError, PixelFormat
from latte.interfaces.settings import AugmentSettings, TrainSettings
from tests.helpers.pictures import picture, references
from tests.helpers.recorded import RecordedProgress
from tests.helpers.recorded_streams import RecordedStreams

FORMAT = PixelFormat(size=32, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))
CPU = torch.device("cpu")
STRONG = AugmentSettings(crop_scale=(0.3, 1.0), jitter=(0.9, 0.9, 0.9, 0.5), jitter_probability=1.0)


def array(seed: int, width: int, height: int, *, smooth: bool = True) -> Tensor:
    if smooth:
        return torch.from_numpy(numpy.array(picture(seed, width, height)))
    noise = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), numpy.uint8)
    return torch.from_numpy(noise)


def by_pillow(pixels: Tensor, draw: Augmentation, size: int) -> Tensor:
    return augmented_pixels(Image.fromarray(pixels.numpy()), draw, size).float()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 200)), min_size=1, max_size=5),
    st.integers(5, 60),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_batched_crops_equal_pillow_up_to_rounding(
    sizes: list[tuple[int, int]], size: int, seed: int, smooth: bool
) -> None:
    images = [array(seed % 99 + at, *one, smooth=smooth) for at, one in enumerate(sizes)]
    plain = STRONG.model_copy(update={"jitter_probability": 0.0, "grayscale_probability": 0.0})
    draws = [sample_augmentation(*one, plain, Random(seed + at)) for at, one in enumerate(sizes)]
    for view, image, draw in zip(crops(images, draws, size), images, draws, strict=True):
        assert (view - by_pillow(image, draw, size)).abs().max() <= 2
        assert torch.equal(view, view.round())


def crops(images: list[Tensor], draws: list[Augmentation], size: int) -> list[Tensor]:
    """Return the crops of all images, made in passes of little memory."""
    resident = ResidentImages.of(images)
    boxes = [one.box for one in draws]
    made: dict[int, Tensor] = {}
    for one in plan_crops(resident, range(len(images)), boxes, size, 2**20):
        made |= zip(one.rows, resized_crops(resident, one, one.tensors, size), strict=True)
    return [made[row] for row in range(len(images))]


@pytest.mark.parametrize("change", list(ColourChange))
def test_colour_changes_have_pillows_bits(change: ColourChange) -> None:
    steps = range(0, 256, 15)
    colours = [(r, g, b) for r in steps for g in steps for b in steps]
    square = torch.tensor(numpy.resize(numpy.array(colours, numpy.uint8), (70, 70, 3)))
    amounts = (-0.5, -0.1, 0.0, 0.03, 0.5) if change is ColourChange.HUE else (0.0, 0.5, 1.0, 1.7)
    draws = [Augmentation((0, 0, 70, 70), ((change, amount),)) for amount in amounts]
    views = square.permute(2, 0, 1).float().repeat(len(draws), 1, 1, 1)
    changed = change_colours(views, plan_changes(draws))
    for view, draw in zip(changed, draws, strict=True):
        assert torch.equal(view, by_pillow(square, draw, 70))


def test_changes_in_every_order_have_pillows_bits() -> None:
    amounts = {ColourChange.BRIGHTNESS: 1.2, ColourChange.CONTRAST: 0.7}
    amounts |= {ColourChange.SATURATION: 1.4, ColourChange.HUE: -0.2}
    gray = (ColourChange.GRAY, 0.0)
    orders = [
        tuple((kind, amounts[kind]) for kind in one)
        for length in range(5)
        for one in permutations(amounts, length)
    ]
    changes = [*orders, *((*one, gray) for one in orders)]
    Random(0).shuffle(changes)
    draws = [Augmentation((0, 0, 31, 31), one) for one in changes]
    image = array(5, 31, 31)
    views = image.permute(2, 0, 1).float().repeat(len(draws), 1, 1, 1)
    changed = change_colours(views, plan_changes(draws))
    for view, draw in zip(changed, draws, strict=True):
        assert torch.equal(view, by_pillow(image, draw, 31)), draw.changes


@pytest.mark.parametrize("count", [65_536, 65_999])
def test_mean_gray_of_large_views_is_exact(count: int) -> None:
    """The sum is just large enough for a mean of 255; fp32 would round a sum above 2^24."""
    gray = torch.full((2, 1, count), 255.0)
    least = 255 * count - count // 2
    for row, total in enumerate((least, least - 1)):
        left = 255 * count - total
        gray[row, 0, : left // 255] = 0
        gray[row, 0, left // 255] = 255 - left % 255
    assert gray.double().sum(dim=2).flatten().tolist() == [least, least - 1]
    assert _mean(gray).flatten().tolist() == [255, 254]


def test_colours_read_and_write_few_views_that_they_do_not_change() -> None:
    jitter = (0.5, 0.5, 0.5, 0.1)
    settings = AugmentSettings(jitter=jitter, jitter_probability=0.5)
    draws = [sample_augmentation(60, 50, settings, Random(seed)) for seed in range(64)]
    planned = plan_changes(draws)
    jittered = sum(any(kind is ColourChange.HUE for kind, _ in one.changes) for one in draws)
    assert 0 < jittered < 64
    assert [len(planned[f"factor {number}"]) for number in range(3)] == [jittered] * 3
    assert sum(len(planned[f"steps {number}"]) for number in range(4)) == jittered
    gray = sum(any(kind is ColourChange.GRAY for kind, _ in one.changes) for one in draws)
    assert len(planned["gray"]) == gray


def test_large_crops_share_no_pass() -> None:
    images = ResidentImages.of([torch.zeros(300, 400, 3, dtype=torch.uint8)] * 9)
    boxes = [(0, 0, 400, 300)] * 8 + [(0, 0, 20, 10)]
    limit = 8 * 2**20
    counts = [len(one.rows) for one in plan_crops(images, range(9), boxes, 32, limit)]
    assert counts == [2, 2, 2, 2, 1]
    assert [len(one.rows) for one in plan_crops(images, range(9), boxes, 32, 1)] == [1] * 9


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(references(tmp_path, 9, width=90, height=70))


def on_device(cache: ImageCache, view: TrainingView) -> DeviceViews:
    images = resident_images(cache, CPU, None, RecordedProgress())
    assert images is not None
    return DeviceViews(view, images)


def test_device_views_equal_cpu_views_up_to_rounding(cache: ImageCache) -> None:
    view = TrainingView(FORMAT, AugmentSettings(), seed=3)
    batches = [torch.tensor([4, 0, 7, 2]), torch.tensor([8, 1, 3])]
    found = list(on_device(cache, view).batches(batches, epoch=2))
    expected = list(training_batches(cache, view, batches, epoch=2))
    one = 1 / 255 / torch.tensor(FORMAT.std).view(3, 1, 1)
    for (indices, views), (others, pixels) in zip(found, expected, strict=True):
        assert torch.equal(indices, others)
        assert views.dtype == pixels.dtype
        steps = ((views - pixels) / one).abs()
        assert steps.mean() < 0.05
        # A value that differs by one can move a hue on the edge of a step to the next step.
        assert (steps > 3).float().mean() < 0.001


def test_device_view_depends_on_seed_epoch_and_index_not_on_the_batch(cache: ImageCache) -> None:
    device = on_device(cache, TrainingView(FORMAT, AugmentSettings(), seed=3))

    def views(batch: list[int], epoch: int) -> dict[int, Tensor]:
        ((indices, made),) = device.batches([torch.tensor(batch)], epoch)
        return dict(zip(indices.tolist(), made, strict=True))

    first, again = views([0, 1, 2, 3], 1), views([3, 1], 1)
    # Crops are padded to the largest of a batch, which adds zeros to sums.
    torch.testing.assert_close(again[3], first[3], atol=0.02, rtol=0)
    torch.testing.assert_close(again[1], first[1], atol=0.02, rtol=0)
    assert all(torch.equal(a, b) for a, b in zip(first.values(), views([0, 1, 2, 3], 1).values()))  # noqa: B905
    assert not torch.equal(views([3], 2)[3], first[3])


def test_all_tensors_are_created_on_the_images_device() -> None:
    """Tensors on other devices cannot be combined with tensors on the device `meta`."""
    images = [torch.empty(70, 90, 3, dtype=torch.uint8, device="meta") for _ in range(3)]
    device = DeviceViews(TrainingView(FORMAT, STRONG, seed=0), ResidentImages.of(images))
    ((_, views),) = device.batches([torch.tensor([2, 0, 1])], epoch=0)
    assert views.device.type == "meta"
    assert views.shape == (3, 3, 32, 32)


def test_empty_batch_has_no_views(cache: ImageCache) -> None:
    device = on_device(cache, TrainingView(FORMAT, AugmentSettings(), seed=3))
    ((indices, views),) = device.batches([torch.arange(0)], epoch=0)
    assert len(indices) == 0
    assert views.shape == (0, 3, 32, 32)


def test_closed_batches_leave_no_thread(cache: ImageCache) -> None:
    batches = on_device(cache, TrainingView(FORMAT, STRONG, seed=0)).batches(
        [torch.tensor([index]) for index in range(9)], epoch=0
    )
    next(batches)
    batches.close()


def made(cache: ImageCache, progress: Any, **settings: Any) -> Any:
    train = TrainSettings(**settings)
    view = TrainingView(FORMAT, train.augment, seed=0)
    return make_device_views(view, cache, "cpu", train, progress)


def test_images_larger_than_the_budget_are_not_resident(cache: ImageCache) -> None:
    bytes_each = 90 * 70 * 3
    progress = RecordedProgress()
    assert resident_images(cache, CPU, 9 * bytes_each, progress) is not None
    assert resident_images(cache, CPU, 9 * bytes_each - 1, progress) is None


def test_device_views_on_cpu_only_if_augment_on_is_device(cache: ImageCache) -> None:
    progress = RecordedProgress()
    assert made(cache, progress) is None
    assert made(cache, progress, augment_on="cpu") is None
    assert progress.lines == []
    assert made(cache, progress, augment_on="device") is not None
    assert "train: 9 images stay on cpu, where their views are made" in progress.lines


def test_device_views_on_cuda_are_made_on_a_side_stream(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = RecordedStreams(monkeypatch)
    on_cpu = resident_images(cache, CPU, None, RecordedProgress())
    monkeypatch.setattr(module, "_share_of_memory", lambda share, device: 2**28)
    monkeypatch.setattr(module, "resident_images", lambda *given: on_cpu)
    view = TrainingView(FORMAT, AugmentSettings(), seed=0)
    views = make_device_views(view, cache, "cuda", TrainSettings(), RecordedProgress())
    assert views is not None
    make_views = DeviceViews._views

    def made(*given: Any) -> Tensor:
        streams.launch(f"views {len(streams.before)}")
        return make_views(*given)

    monkeypatch.setattr(DeviceViews, "_views", made)
    batches = views.batches([torch.tensor([index]) for index in range(4)], epoch=0)
    next(batches)
    assert [*streams.before] == ["views 0", "views 1"]
    assert streams.main.ended == {"views 0"}
    batches.close()


@pytest.mark.parametrize("settings", [{"augment": None}, {"max_steps": 0}, {"max_epochs": 0}])
def test_no_device_views_without_training_or_augmentation(
    cache: ImageCache, settings: dict[str, Any]
) -> None:
    assert AugmentSettings() == TrainSettings().augment
    assert made(cache, RecordedProgress(), augment_on="device", **settings) is None


def test_augment_on_device_raises_if_images_do_not_fit(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_share_of_memory", lambda share, device: 1000)
    with pytest.raises(LatteError, match="more than 25% of the memory of cpu"):
        made(cache, RecordedProgress(), augment_on="device")


def test_device_without_64_bit_numbers_is_rejected(cache: ImageCache) -> None:
    train = TrainSettings(augment_on="device")
    view = TrainingView(FORMAT, train.augment, seed=0)
    with pytest.raises(LatteError, match="cannot be made on mps"):
        make_device_views(view, cache, "mps", train, RecordedProgress())


def test_out_of_memory_on_the_device_falls_back_to_cpu(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module.torch, "tensor", full)
    progress = RecordedProgress()
    assert resident_images(cache, CPU, None, progress) is None
    assert progress.tasks[-1].closed, "the task must not be shown as stopped by an error"
