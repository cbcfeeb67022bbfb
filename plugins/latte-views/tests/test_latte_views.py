from __future__ import annotations

from collections.abc import Callable

import latte_views
import numpy
import pytest
from PIL import Image, ImageEnhance, ImageOps

UNCHANGED = numpy.tile(numpy.arange(256, dtype=numpy.float32), (3, 1))
NOISE = numpy.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=numpy.uint8)
BRIGHTNESS, GRAY = 0, 4


@pytest.fixture(scope="module")
def write() -> Callable[..., bool]:
    try:
        return latte_views.load()
    except OSError as error:
        pytest.skip(str(error))


def planes(image: Image.Image) -> numpy.ndarray:
    return numpy.asarray(image.convert("RGB")).transpose(2, 0, 1)


def test_a_resized_crop_with_colour_changes_has_pillows_bits(write: Callable[..., bool]) -> None:
    crop = Image.fromarray(NOISE).crop((5, 3, 55, 43)).resize((32, 32), Image.Resampling.BICUBIC)
    out = numpy.empty((3, 32, 32), dtype=numpy.float32)
    for changes, expected in (
        ([], crop),
        ([(BRIGHTNESS, 1.3)], ImageEnhance.Brightness(crop).enhance(1.3)),
        ([(GRAY, 0.0)], ImageOps.grayscale(crop)),
    ):
        assert write(NOISE, (5, 3, 50, 40), changes, UNCHANGED, out, tall_first=False)
        assert (out == planes(expected)).all()


def test_values_are_looked_up_per_channel(write: Callable[..., bool]) -> None:
    plain, shifted = numpy.empty((2, 3, 32, 32), dtype=numpy.float32)
    offsets = numpy.array([1, 20, 300], dtype=numpy.float32)
    box = (0, 0, 64, 48)
    assert write(NOISE, box, [], UNCHANGED, plain, tall_first=False)
    assert write(NOISE, box, [], UNCHANGED + offsets[:, None], shifted, tall_first=False)
    assert (shifted == plain + offsets[:, None, None]).all()


def test_narrow_crops_are_left_to_pillow(write: Callable[..., bool]) -> None:
    out = numpy.zeros((3, 32, 32), dtype=numpy.float32)
    assert not write(NOISE, (0, 0, 21, 48), [], UNCHANGED, out, tall_first=False)
    assert not out.any()


def test_a_missing_library_raises_an_error_that_names_the_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latte_views, "find_spec", lambda name: None)
    with pytest.raises(OSError, match="latte-views was installed without a C compiler"):
        latte_views.load()
