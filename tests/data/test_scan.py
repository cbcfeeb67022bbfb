from __future__ import annotations

import csv
import os
from pathlib import Path
from unittest.mock import patch

from latte.data import cache as cache_module
from latte.data.images import SkippedImage, decode_image
from latte.data.scan import scan_images, write_skipped
from latte.interfaces import ImageReference
from latte.io.files import digest
from tests.helpers.pictures import references
from tests.helpers.recorded import RecordedProgress


def spoil(image: ImageReference, data: bytes) -> ImageReference:
    image.path.write_bytes(data)
    return image


def test_scan_returns_images_in_order_with_content_hashes(tmp_path: Path) -> None:
    images = references(tmp_path, 30)
    progress = RecordedProgress()
    scan = scan_images(images, progress, "reading")
    assert scan.images == tuple(images)
    assert scan.keys == tuple(digest(image.path.read_bytes()) for image in images)
    assert len(set(scan.keys)) == 30
    assert scan.skipped == ()
    assert (progress.tasks[-1].done, progress.tasks[-1].total) == (30, 30)


def test_unreadable_images_are_skipped_with_their_reasons(tmp_path: Path) -> None:
    images = references(tmp_path, 6)
    image_bytes = images[1].path.read_bytes()
    spoil(images[0], b"")
    spoil(images[2], image_bytes[: len(image_bytes) - 40])
    spoil(images[3], b"not an image")
    images[5].path.unlink()
    progress = RecordedProgress()
    scan = scan_images(images, progress, "reading")
    assert [image.id for image in scan.images] == ["001.png", "004.png"]
    assert [image.id for image in scan.skipped] == ["000.png", "002.png", "003.png", "005.png"]
    reasons = {image.id: image.reason for image in scan.skipped}
    assert reasons["000.png"] == "the file is empty"
    assert "cut short" in reasons["002.png"]
    assert "not an image" in reasons["003.png"]
    assert reasons["005.png"] == "the file cannot be read: No such file or directory"
    assert progress.tasks[-1].done == 6
    assert len(scan.cache) == 2


def test_cache_holds_the_images_decoded_by_the_scan(tmp_path: Path) -> None:
    images = references(tmp_path, 4)
    spoil(images[1], b"")
    scan = scan_images(images, RecordedProgress(), "reading")
    expected = [decode_image(image.read_bytes()).tobytes() for image in scan.images]
    with patch.object(cache_module, "open_image", side_effect=AssertionError("decoded again")):
        assert [scan.cache.get(i).tobytes() for i in range(3)] == expected


def test_cache_keeps_to_its_budget(tmp_path: Path) -> None:
    images = references(tmp_path, 3)
    scan = scan_images(images, RecordedProgress(), "reading", max_bytes=2 * 40 * 30 * 3)
    with patch.object(cache_module, "open_image", wraps=cache_module.open_image) as opened:
        for index in (0, 1, 2, 2):
            scan.cache.get(index)
    assert [call.args[0].id for call in opened.call_args_list] == ["002.png", "002.png"]


def test_scan_without_images_is_empty() -> None:
    scan = scan_images([], RecordedProgress(), "reading")
    assert (scan.images, scan.keys, scan.skipped) == ((), (), ())


def test_skipped_images_are_written_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "run" / "skipped.csv"
    skipped = [SkippedImage("a,\nb.jpg", 'says "no"'), SkippedImage("ü.jpg", "the file is empty")]
    write_skipped(path, skipped)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["id", "reason"], ["a,\nb.jpg", 'says "no"'], ["ü.jpg", "the file is empty"]]
    assert list(path.parent.iterdir()) == [path]


def test_folders_pipes_devices_and_huge_files_are_skipped(tmp_path: Path) -> None:
    """Reading a pipe or a device would never end."""
    (tmp_path / "album.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(2**30 + 1)
    names = ("album.jpg", "pipe.jpg", "device.jpg", "huge.jpg")
    images = [ImageReference(name, tmp_path / name) for name in names]
    skipped = scan_images(images, RecordedProgress(), "reading").skipped
    assert [skipped_image.reason for skipped_image in skipped] == [
        "the file cannot be read: Is a directory",
        *["the file cannot be read: it is a pipe or a device"] * 2,
        "the file cannot be read: it has more than 1,073,741,824 bytes",
    ]
