from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from latte.data.cache import ImageCache, MemoryStore
from latte.data.images import UnreadableImageError
from tests.data.pictures import picture, references

BYTES = 40 * 30 * 3


def test_images_come_back_as_they_are_stored(tmp_path: Path) -> None:
    cache = ImageCache(references(tmp_path, 5))
    for _ in range(2):
        assert [cache.get(i).tobytes() for i in range(5)] == [
            picture(i).tobytes() for i in range(5)
        ]


def test_a_kept_image_needs_its_file_no_more(tmp_path: Path) -> None:
    images = references(tmp_path, 2)
    cache = ImageCache(images, max_bytes=BYTES)
    first = cache.get(0).tobytes()
    cache.get(1)
    for image in images:
        image.path.unlink()
    assert cache.get(0).tobytes() == first
    with pytest.raises(UnreadableImageError, match=r"^001\.png: "):
        cache.get(1)


def test_without_budget_everything_is_decoded_again(tmp_path: Path) -> None:
    images = references(tmp_path, 1)
    cache = ImageCache(images, max_bytes=0)
    cache.get(0)
    picture(9).save(images[0].path)
    assert cache.get(0).tobytes() == picture(9).tobytes()


def test_changing_an_image_does_not_change_the_kept_one(tmp_path: Path) -> None:
    cache = ImageCache(references(tmp_path, 1))
    for _ in range(2):
        cache.get(0).paste((0, 0, 0), (0, 0, 40, 30))
    assert cache.get(0).tobytes() == picture(0).tobytes()


def test_a_smaller_image_still_fits_when_a_larger_did_not() -> None:
    store = MemoryStore(max_bytes=100)
    store.put(0, Image.new("RGB", (10, 10)))
    store.put(1, Image.new("RGB", (5, 5)))
    assert store.get(0) is None
    assert store.get(1) is not None


def test_many_threads_get_the_right_images(tmp_path: Path) -> None:
    cache = ImageCache(references(tmp_path, 8), max_bytes=4 * BYTES)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(cache.get, [i % 8 for i in range(200)]))
    expected = [picture(i).tobytes() for i in range(8)]
    assert [image.tobytes() for image in got] == [expected[i % 8] for i in range(200)]


def test_another_store_can_take_the_place_of_memory(tmp_path: Path) -> None:
    kept: dict[int, Image.Image] = {}

    class Shelf:
        def get(self, index: int) -> Image.Image | None:
            return kept.get(index)

        def put(self, index: int, image: Image.Image) -> None:
            kept[index] = image

    cache = ImageCache(references(tmp_path, 2), store=Shelf())
    assert cache.get(1) is cache.get(1)
    assert list(kept) == [1]
