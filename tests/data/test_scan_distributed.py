"""The merged scan of several processes equals the scan of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from latte import distributed
from latte.data.disk_cache import DiskStore
from latte.data.scan import Scan, scan_images
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


class GatheredError(Exception):
    """Raised in place of waiting for the other processes."""


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_scan_of_several_processes_equals_scan_of_one(
    images: list[ImageReference],
    tmp_path: Path,
    silent_progress: RecordedProgress,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    expected = scan_images(images, silent_progress, "scan")
    assert (len(expected.images), len(expected.skipped)) == (5, 2)
    other_parts: list[Any] = []

    def scan(rank: int, disk: DiskStore, gather: Callable[[Any], Any]) -> Scan:
        monkeypatch.setattr(distributed, "share", lambda items: items[rank::count])
        monkeypatch.setattr(distributed, "all_gather_object", gather)
        return scan_images(images, silent_progress, "scan", disk=disk)

    def leave(own_part: Any) -> None:
        other_parts.append(json.loads(json.dumps(own_part)))
        raise GatheredError

    cache_before = kept(tmp_path / "pixels")
    for rank in range(1, count):
        with pytest.raises(GatheredError):
            scan(rank, kept(tmp_path / "pixels"), leave)
    scanned = scan(0, cache_before, lambda own_part: [own_part, *other_parts])
    assert scanned == expected
    for index in range(len(scanned.images)):
        assert scanned.keys[index] in cache_before, "what another process kept is found"
        numpy.testing.assert_array_equal(scanned.cache.pixels(index), expected.cache.pixels(index))
