"""Measure how fast this machine makes training views, and advise trainings that wait for them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import torch

from latte.data.compiled_views import compiled_views
from latte.data.prefetch import image_threads
from latte.data.views import TrainingView
from latte.interfaces import PixelFormat
from latte.interfaces.settings import AugmentSettings

_PHOTO = (375, 500, 3)
_FORMAT = PixelFormat(size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_VIEWS = 64


def views_per_second(*, for_gpu: bool) -> float:
    """Return how many views of photos this machine makes per second, measured with 64 views.

    Uses as many threads as a training, which are more if a GPU runs the steps (`for_gpu`).
    """
    view = TrainingView(_FORMAT, AugmentSettings(), seed=0)
    photo = numpy.random.default_rng(0).integers(0, 256, _PHOTO, dtype=numpy.uint8)
    views = torch.empty(_VIEWS, 3, _FORMAT.size, _FORMAT.size)
    view.write(photo, 0, 0, views[0])  # the first view also loads and checks the library
    with ThreadPoolExecutor(image_threads(alone=for_gpu)) as executor:
        start_time = time.perf_counter()
        for _ in executor.map(
            lambda index: view.write(photo, index, 0, views[index]), range(_VIEWS)
        ):
            pass
        return _VIEWS / (time.perf_counter() - start_time)


def faster_views() -> str:
    """Return advice for faster views: the package latte-views, or more cores if it is in use."""
    if compiled_views() is None:
        return "`pip install latte-views` makes them about five times as fast"
    return "latte-views makes them, so only more CPU cores make them faster"
