"""The merged scan of several processes equals the scan of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from latte.data.disk_cache import DiskStore
from latte.data.scan import _merged, _outcomes, scan_images, scan_images_distributed
from latte.interfaces import ImageReference
from tests.helpers.recorded import RecordedProgress


@pytest.fixture
def images(colour_images: Callable[..., Path]) -> list[ImageReference]:
    """Seven images, of which the third and the last are unreadable."""
    paths = sorted(colour_images(per_class=3).rglob("*.jpg"))[:7]
    for path in (paths[2], paths[6]):
        path.write_bytes(b"nothing")
    return [ImageReference(path.name + path.parent.name, path) for path in paths]


def kept(folder: Path) -> DiskStore:
    return DiskStore(folder, 2**26, lambda line: None)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_merged_scan_of_several_processes_equals_scan_of_one(
    images: list[ImageReference],
    tmp_path: Path,
    silent_progress: RecordedProgress,
    count: int,
) -> None:
    expected = scan_images(images, silent_progress, "scan")
    assert (len(expected.images), len(expected.skipped)) == (5, 2)
    shares = []
    first = kept(tmp_path / "pixels")
    for rank in range(count):
        own = images[rank::count]
        store = first if rank == 0 else kept(tmp_path / "pixels")
        scan = scan_images(own, silent_progress, "scan", disk=store)
        shares.append(_outcomes(own, scan))
    first.refresh()
    found = _merged(images, shares, first)
    assert found == expected
    for index in range(len(found.images)):
        assert found.keys[index] in first, "what another process kept is found"
        numpy.testing.assert_array_equal(found.cache.pixels(index), expected.cache.pixels(index))


def test_distributed_scan_of_one_process_equals_plain_scan(
    images: list[ImageReference], tmp_path: Path, silent_progress: RecordedProgress
) -> None:
    expected = scan_images(images, silent_progress, "scan")
    found = scan_images_distributed(images, silent_progress, "scan", (), kept(tmp_path / "pixels"))
    assert found == expected
