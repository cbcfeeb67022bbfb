from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy
import pytest

from latte.data.cache import DecodedImages, ImageCache, PixelStore
from latte.data.disk_cache import DiskStore
from latte.data.images import UnreadableImageError
from latte.data.views import evaluation_pixels
from latte.interfaces import LatteError, PixelFormat
from latte.io.files import digest
from tests.helpers.pictures import picture, references

BYTES = 40 * 30 * 3


def test_cached_image_is_served_without_its_file(tmp_path: Path) -> None:
    images = references(tmp_path, 2)
    cache = ImageCache(images, PixelStore(BYTES))
    pixels = cache.get(0).tobytes()
    cache.get(1)
    for image in images:
        image.path.unlink()
    assert cache.get(0).tobytes() == pixels
    with pytest.raises(UnreadableImageError, match=r"^001\.png: "):
        cache.get(1)


def test_cache_without_budget_decodes_again(tmp_path: Path) -> None:
    images = references(tmp_path, 1)
    cache = ImageCache(images, PixelStore(0))
    cache.get(0)
    picture(9).save(images[0].path)
    assert cache.get(0).tobytes() == picture(9).tobytes()


def test_returned_image_is_a_copy(tmp_path: Path) -> None:
    cache = ImageCache(references(tmp_path, 1))
    for _ in range(2):
        cache.get(0).paste((0, 0, 0), (0, 0, 40, 30))
    assert cache.get(0).tobytes() == picture(0).tobytes()


def test_memory_store_takes_a_smaller_image_after_rejecting_a_larger() -> None:
    store = PixelStore(max_bytes=100)
    assert not store.put("large", numpy.zeros((10, 10, 3), numpy.uint8))
    assert store.put("small", numpy.zeros((5, 5, 3), numpy.uint8))
    assert store.get("large") is None
    assert store.get("small") is not None


def test_cache_is_thread_safe(tmp_path: Path) -> None:
    cache = ImageCache(references(tmp_path, 8), PixelStore(4 * BYTES))
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(cache.get, [i % 8 for i in range(200)]))
    expected = [picture(i).tobytes() for i in range(8)]
    assert [image.tobytes() for image in got] == [expected[i % 8] for i in range(200)]


def test_cache_uses_the_given_store_and_keys(tmp_path: Path) -> None:
    store = PixelStore(10**6)
    images = references(tmp_path, 2)
    key, other_key = (digest(image.path.read_bytes()) for image in images)
    cache = ImageCache(images, store=store, keys=[key, other_key])
    cache.get(1)
    assert other_key in store
    assert key not in store
    images[1].path.unlink()
    reversed_cache = ImageCache(images[::-1], store=store, keys=[other_key, key])
    assert reversed_cache.get(0).tobytes() == picture(1).tobytes()


def test_content_without_its_key_is_not_cached(tmp_path: Path) -> None:
    store = PixelStore(10**6)
    images = references(tmp_path, 2)
    key = digest(images[0].path.read_bytes())
    images[1].path.replace(images[0].path)
    with pytest.raises(LatteError, match=r"000\.png: this image was changed while"):
        ImageCache(images, store=store, keys=[key, ""]).get(0)
    assert key not in store


def test_pixels_that_do_not_fit_on_the_disk_stay_in_memory(tmp_path: Path) -> None:
    pixels = numpy.arange(100, dtype=numpy.uint8)
    full = DiskStore(tmp_path / "full", 0, lambda line: None)
    store = PixelStore(100, full)
    assert store.put("small", pixels)
    assert not store.put("more", pixels)
    assert ("small" in store, "small" in full, "more" in store) == (True, False, False)
    assert store.get("more") is None
    disk = DiskStore(tmp_path / "disk", 10**7, lambda line: None)
    assert PixelStore(0, disk).put("small", pixels)
    stored = PixelStore(0, disk).get("small")
    assert stored is not None
    assert (stored == pixels).all()


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_cached_evaluation_pixels_equal_the_images(
    tmp_path: Path, resize_mode: Literal["shortest", "longest", "squash"]
) -> None:
    pixel_format = PixelFormat(16, (0.5,) * 3, (0.5,) * 3, resize_mode=resize_mode)
    cache = ImageCache(references(tmp_path, 3))
    for _ in range(2):
        for index in range(3):
            expected = evaluation_pixels(picture(index), pixel_format).numpy()
            assert (cache.evaluation_pixels(index, pixel_format) == expected).all()


def test_evaluation_pixels_are_cached_per_pixel_format(tmp_path: Path) -> None:
    cache = ImageCache(references(tmp_path, 1))
    for size in (16, 20, 16):
        pixel_format = PixelFormat(size, (0.5,) * 3, (0.5,) * 3)
        assert cache.evaluation_pixels(0, pixel_format).shape == (3, size, size)


def test_decoded_keys_are_known_to_later_runs(tmp_path: Path) -> None:
    decoded = DecodedImages(tmp_path / "decoded")
    assert decoded.keys == frozenset()
    decoded.note(["a", "b"])
    later_run = DecodedImages(tmp_path / "decoded")
    assert later_run.keys == {"a", "b"}
    later_run.note(["b", "c"])
    assert DecodedImages(tmp_path / "decoded").keys == {"a", "b", "c"}


def test_concurrent_runs_keep_each_others_keys(tmp_path: Path) -> None:
    images, other_images = DecodedImages(tmp_path), DecodedImages(tmp_path)
    images.note(["a", "b"])
    other_images.note(["b", "c"])
    assert DecodedImages(tmp_path).keys == {"a", "b", "c"}


def test_known_keys_are_not_written_again(tmp_path: Path) -> None:
    DecodedImages(tmp_path).note(["a", "b"])
    DecodedImages(tmp_path).note(["b", "a"])
    assert len(list(tmp_path.iterdir())) == 1
