"""Contract tests of augmentations, which make random views (crops) of training images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy
import pytest
import torch
from PIL import Image

from latte.api import ImageAugmentation, Kind
from latte_author.testing.component import ComponentContract

SIZE = 32


class ImageAugmentationContract(ComponentContract):
    """Tests that views have the right format and depend only on the image and the random seed.

    Example:
        >>> from latte_author.testing import ImageAugmentationContract
        >>> class TestFlips(ImageAugmentationContract):
        ...     component = "flips"
    """

    kind: ClassVar[Kind] = "augmentation"

    @pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (7, 200), (1, 1)])
    def test_views_are_bytes_of_the_size_of_the_tower(
        self, tmp_path: Path, width: int, height: int
    ) -> None:
        """Views must be (3, S, S) uint8, even for narrow images; the original must not change."""
        augmentation: ImageAugmentation[Any] = self.make(tmp_path)
        image = _noise(width, height)
        original_bytes = image.tobytes()
        for seed in range(4):
            view = augmentation.view(image, SIZE, Random(seed))
            assert view.dtype == torch.uint8
            assert view.shape == (3, SIZE, SIZE)
        assert image.tobytes() == original_bytes, "the image changed"

    def test_equal_generators_give_equal_views_in_all_threads(self, tmp_path: Path) -> None:
        """A view must depend on image and seed only, not on earlier views or other threads."""
        augmentation: ImageAugmentation[Any] = self.make(tmp_path)
        image = _noise(64, 48)

        def view(seed: int) -> torch.Tensor:
            return augmentation.view(image, SIZE, Random(seed))

        serial_views = [view(seed) for seed in range(8)]
        with ThreadPoolExecutor(4) as threads:
            threaded_views = list(threads.map(view, reversed(range(8))))[::-1]
        assert all(map(torch.equal, serial_views, threaded_views))
        assert not all(torch.equal(serial_views[0], serial_view) for serial_view in serial_views), (
            "views are not random"
        )


def _noise(width: int, height: int) -> Image.Image:
    values = numpy.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    return Image.fromarray(values)
