"""The built-in augmentation `random-crops`."""

from __future__ import annotations

from random import Random

import numpy
import torch
from latte_author.testing import ImageAugmentationContract
from PIL import Image

from latte.data.augmentation import RandomCrops
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings
from latte.toolkit.seeds import seed_from
from tests.helpers.training_driver import CONTEXT


class TestRandomCrops(ImageAugmentationContract):
    component = "random-crops"


def test_training_views_are_those_of_the_component() -> None:
    values = numpy.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=numpy.uint8)
    image, settings = Image.fromarray(values), AugmentSettings(jitter_probability=1.0)
    random = Random(seed_from("view", 7, 2, 5))
    view = RandomCrops(settings, CONTEXT).view(image, 16, random)
    pixel_format = PixelFormat(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert torch.equal(TrainingView(pixel_format, settings, seed=7).pixels(image, 5, 2), view)
