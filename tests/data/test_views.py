from __future__ import annotations

import math
from random import Random

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms import ColorJitter, RandomResizedCrop
from torchvision.transforms import functional as vision

from latte.data.augmentation import CROP_RATIO, sample_crop
from latte.data.views import TrainingView, normalise
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from latte.toolkit.seeds import seed_from
from tests.helpers.evaluated import evaluation_view
from tests.helpers.pictures import picture

MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
FORMAT = PixelFormat(size=32, mean=MEAN, std=STD)
STILL = AugmentSettings(crop_scale=(1.0, 1.0), jitter_probability=0.0, grayscale_probability=0.0)

SIZES = [(40, 30), (30, 40), (32, 32), (64, 64), (33, 500), (17, 5), (1, 1), (3, 48)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_evaluation_view_equals_open_clips(
    resize_mode: str, interpolation: str, size: tuple[int, int]
) -> None:
    settings = {
        "size": 32,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.25, 0.3),
        "interpolation": interpolation,
        "resize_mode": resize_mode,
    }
    image = picture(1, *size)
    expected = image_transform_v2(PreprocessCfg(**settings), is_train=False)(image)
    view = evaluation_view(image, PixelFormat(**settings))
    assert view.dtype == torch.float32
    assert view.is_contiguous()
    assert torch.equal(view, expected)


def test_evaluation_view_equals_open_clips_at_full_size() -> None:
    image = picture(2, 500, 375)
    expected = image_transform_v2(PreprocessCfg(size=224), is_train=False)(image)
    assert torch.equal(evaluation_view(image, PixelFormat(224, MEAN, STD)), expected)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (2, 2000)])
def test_extreme_aspects_are_resized_without_gigabytes(
    size: tuple[int, int], resize_mode: str
) -> None:
    image = Image.new("RGB", size, (255, 255, 255))
    view = evaluation_view(image, PixelFormat(224, MEAN, STD, resize_mode=resize_mode))
    assert view.shape == (3, 224, 224)
    white = (1 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert (view == white[:, None, None]).all(0).any()


def test_extreme_aspects_are_close_to_open_clips_views() -> None:
    image = picture(3, 340, 20)
    expected = image_transform_v2(PreprocessCfg(size=32), is_train=False)(image)
    assert torch.allclose(evaluation_view(image, FORMAT), expected, atol=0.1)


def test_normalising_a_batch_equals_normalising_each() -> None:
    pixels = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    single = torch.stack([normalise(image[None], FORMAT)[0] for image in pixels])
    assert torch.equal(normalise(pixels, FORMAT), single)


def test_training_view_without_augmentation_is_the_evaluation_view() -> None:
    view = TrainingView(FORMAT, None, seed=0)
    assert torch.equal(view(picture(), 3, 1), evaluation_view(picture(), FORMAT))


def test_training_view_depends_on_seed_epoch_and_index_alone() -> None:
    places = [(seed, epoch, index) for seed in (0, 1) for epoch in (0, 1) for index in (0, 1, 2)]

    def views(order: list[tuple[int, int, int]]) -> dict[tuple[int, int, int], torch.Tensor]:
        return {
            (seed, epoch, index): TrainingView(FORMAT, AugmentSettings(), seed)(
                picture(), index, epoch
            )
            for seed, epoch, index in order
        }

    torch.manual_seed(0)
    views_forwards = views(places)
    torch.manual_seed(1)
    views_backwards = views(places[::-1])
    assert all(torch.equal(views_forwards[place], views_backwards[place]) for place in places)
    distinct = {views_forwards[place].numpy().tobytes() for place in places}
    assert len(distinct) == len(places)


def test_training_view_keeps_the_global_random_state() -> None:
    random_state = torch.get_rng_state()
    TrainingView(FORMAT, AugmentSettings(), 0)(picture(), 0, 0)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_sampled_crop_is_the_recorded_one_so_that_old_runs_resume() -> None:
    seed = seed_from("view", 7, 2, 3)
    assert seed == 4705784939328743064
    assert sample_crop(500, 375, (0.9, 1.0), Random(seed)) == (4, 4, 481, 371)


def test_gray_views_have_equal_channels() -> None:
    augment = AugmentSettings(jitter_probability=0.0, grayscale_probability=1.0)
    red, green, blue = TrainingView(FORMAT, augment, 0).pixels(picture(), 0, 0)
    assert torch.equal(red, green)
    assert torch.equal(green, blue)


@pytest.mark.parametrize("setting", ["jitter_probability", "grayscale_probability"])
def test_augmentation_probabilities(setting: str) -> None:
    still = TrainingView(FORMAT, STILL, 0)
    shaky = TrainingView(FORMAT, STILL.model_copy(update={setting: 0.3}), 0)
    image = picture(width=32, height=32)
    changed = sum(
        not torch.equal(still.pixels(image, i, 0), shaky.pixels(image, i, 0)) for i in range(300)
    )
    assert 65 <= changed <= 115


def test_jitter_stays_within_torchvisions_bounds() -> None:
    image = Image.new("RGB", (8, 8), (100, 100, 100))
    augment = STILL.model_copy(update={"jitter": (0.5, 0.0, 0.0, 0.0), "jitter_probability": 1.0})
    view = TrainingView(FORMAT, augment, 0)
    levels = [int(view.pixels(image, i, 0)[0, 0, 0]) for i in range(200)]
    assert 50 <= min(levels) < 60
    assert 140 < max(levels) <= 150


def test_jitter_of_zero_changes_nothing() -> None:
    augment = STILL.model_copy(update={"jitter": (0.0,) * 4, "jitter_probability": 1.0})
    image = picture()
    assert torch.equal(
        TrainingView(FORMAT, augment, 0).pixels(image, 0, 0),
        TrainingView(FORMAT, STILL, 0).pixels(image, 0, 0),
    )


def test_jitter_is_distributed_as_torchvisions() -> None:
    image = picture(5, 16, 16)
    augment = STILL.model_copy(update={"jitter_probability": 1.0})
    view = TrainingView(PixelFormat(16, MEAN, STD), augment, 0)
    ours = torch.stack([view.pixels(image, i, 0).float().mean((1, 2)) for i in range(400)])
    torch.manual_seed(0)
    jitter = ColorJitter(0.5, 0.5, 0.5, 0.1)
    shaken = [vision.pil_to_tensor(jitter(image)).float() for _ in range(400)]
    theirs = torch.stack([pixels.mean((1, 2)) for pixels in shaken])
    assert torch.allclose(ours.mean(0), theirs.mean(0), atol=6)
    assert torch.allclose(ours.std(0), theirs.std(0), rtol=0.15)


@given(
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.floats(0.01, 1.0),
    st.integers(0, 2**31),
)
def test_crops_are_within_the_image_with_allowed_scale_and_aspect(
    width: int, height: int, smallest: float, seed: int
) -> None:
    left, top, w, h = sample_crop(width, height, (smallest, 1.0), Random(seed))
    assert 0 <= left <= left + w <= width
    assert 0 <= top <= top + h <= height
    assert w >= 1
    assert h >= 1
    if min(w, h) > 50:
        assert CROP_RATIO[0] * 0.95 <= w / h <= CROP_RATIO[1] * 1.05
        aspect_allows = min(1.0, min(width / height, height / width) * 4 / 3)
        assert w * h >= 0.95 * min(smallest, aspect_allows) * width * height


def test_crops_are_distributed_as_torchvisions() -> None:
    image = Image.new("RGB", (400, 300))
    random = Random(0)
    torch.manual_seed(0)
    ours = torch.tensor([sample_crop(400, 300, (0.5, 1.0), random) for _ in range(2000)]).double()
    theirs = torch.tensor(
        [RandomResizedCrop.get_params(image, [0.5, 1.0], list(CROP_RATIO)) for _ in range(2000)]
    ).double()[:, [1, 0, 3, 2]]
    assert torch.allclose(ours.mean(0), theirs.mean(0), atol=4)
    assert torch.allclose(ours.std(0), theirs.std(0), atol=4)


def test_central_crop_if_no_sampled_crop_fits() -> None:
    assert sample_crop(1000, 10, (1.0, 1.0), Random(0)) == (493, 0, 13, 10)
    assert sample_crop(10, 1000, (1.0, 1.0), Random(0)) == (0, 493, 10, 13)
    assert math.isclose(CROP_RATIO[0] * CROP_RATIO[1], 1.0)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (1.0, 0.9)])
def test_invalid_crop_scale_is_rejected(scale: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="crop_scale"):
        AugmentSettings(crop_scale=scale)


@pytest.mark.parametrize("jitter", [(0.5, 0.5, 0.5, 0.6), (-0.1, 0.0, 0.0, 0.0)])
def test_invalid_jitter_is_rejected(
    jitter: tuple[float, float, float, float],
) -> None:
    with pytest.raises(ValidationError, match="hue is at most"):
        AugmentSettings(jitter=jitter)
