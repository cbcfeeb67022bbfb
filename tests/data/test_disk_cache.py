from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latte.data import cache as cache_module
from latte.data import disk_cache as disk_module
from latte.data.disk_cache import DiskStore, bound_from_environment
from latte.data.scan import scan_images
from latte.interfaces import LatteError
from tests.helpers.pictures import picture, references
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

MEGABYTE = 10**6
WRITER = """
import sys, numpy
from pathlib import Path
from latte.data.disk_cache import DiskStore
store = DiskStore(Path(sys.argv[1]), 10**9, print)
for i in range(10**6):
    store.put(str(i), numpy.full((50, 40, 3), i % 251, numpy.uint8))
    if i % 7 == 0:
        store.flush()
    if i == int(sys.argv[2]):
        print("busy", flush=True)
        if sys.argv[3:]:
            break
"""


def silent(line: str) -> None:
    pytest.fail(f"said: {line}")


def opened(folder: Path, max_bytes: int = 50 * MEGABYTE) -> DiskStore:
    return DiskStore(folder, max_bytes, silent)


def full_of(value: int, size: int = 1000) -> numpy.ndarray:
    return numpy.full((size, 1, 1), value % 251, numpy.uint8)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


shapes = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)), max_size=12)


@given(shapes, st.integers(0, 12), st.integers(0, 2**32))
def test_arrays_of_any_shape_are_read_back_before_and_after_reopening(
    sides: list[tuple[int, int, int]], flushed: int, seed: int
) -> None:
    random = numpy.random.default_rng(seed)
    arrays = {f"image {i}": random.integers(0, 256, s, numpy.uint8) for i, s in enumerate(sides)}
    with TemporaryDirectory() as name:
        store = opened(Path(name))
        for i, (key, array) in enumerate(arrays.items()):
            assert store.put(key, array)
            if i == flushed:
                store.flush()
        store.flush()
        for reader in (store, opened(Path(name))):
            for key, array in arrays.items():
                assert key in reader
                assert numpy.array_equal(reader.get(key), array)
            assert reader.get("another") is None


@given(st.lists(st.integers(1, 60_000), max_size=40), st.integers(1, 300_000))
def test_bound_is_never_exceeded(sizes: list[int], bound: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for run in range(3):
            store = opened(folder, bound)
            for i, size in enumerate(sizes):
                store.put(f"{run} {i}", full_of(i, size))
                assert bytes_in(folder) <= bound
            store.flush()
            assert bytes_in(folder) <= bound


def test_least_recently_used_files_are_removed_first(tmp_path: Path) -> None:
    for run in range(4):
        store = opened(tmp_path, MEGABYTE)
        store.put(str(run), full_of(run, 200_000))
        store.flush()
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 4000))
    assert opened(tmp_path).get("0") is not None
    opened(tmp_path, MEGABYTE).put("new", full_of(9, 200_000))
    reopened = opened(tmp_path)
    assert ["0" in reopened, "1" in reopened, "2" in reopened, "3" in reopened] == [
        True,
        False,
        True,
        True,
    ]


def test_files_used_within_the_hour_are_not_removed(tmp_path: Path) -> None:
    store = opened(tmp_path, MEGABYTE)
    store.put("a", full_of(1, 800_000))
    store.flush()
    other_store = opened(tmp_path, MEGABYTE)
    assert not other_store.put("b", full_of(2, 800_000))
    assert "a" in opened(tmp_path)


def test_reading_keeps_a_file_from_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path, MEGABYTE)
    store.put("a", full_of(1, 800_000))
    store.flush()
    (path,) = tmp_path.iterdir()
    os.utime(path, (0, time.time() - 4000))
    later = time.time() + 700
    monkeypatch.setattr(disk_module.time, "time", lambda: later)
    assert store.get("a") is not None
    assert not opened(tmp_path, MEGABYTE).put("b", full_of(2, 800_000))


def test_bound_holds_while_all_files_are_in_use(tmp_path: Path) -> None:
    store = opened(tmp_path, MEGABYTE)
    accepted = [store.put(str(i), full_of(i, 100_000)) for i in range(30)]
    assert 5 < sum(accepted) < 10
    assert accepted == sorted(accepted, reverse=True)
    for i in range(sum(accepted)):
        assert numpy.array_equal(store.get(str(i)), full_of(i, 100_000))


def test_files_removed_by_another_process_are_missing_without_error(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put("a", full_of(7))
    store.flush()
    late = opened(tmp_path)
    read_before = store.get("a")
    for path in tmp_path.iterdir():
        path.unlink()
    assert numpy.array_equal(read_before, full_of(7))
    assert numpy.array_equal(store.get("a"), full_of(7))
    assert "a" not in late
    assert late.get("a") is None
    assert late.put("a", full_of(7))
    assert numpy.array_equal(late.get("a"), full_of(7))


def mapped_bytes() -> int:
    match = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) * 1024


def stored_megabytes(folder: Path, count: int) -> tuple[DiskStore, dict[str, numpy.ndarray]]:
    store, images = opened(folder), {f"image {i}": full_of(i, MEGABYTE) for i in range(count)}
    for key, array in images.items():
        store.put(key, array)
    store.flush()
    return store, images


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_flush_frees_the_memory_of_pixels_that_were_read(tmp_path: Path) -> None:
    store, images = stored_megabytes(tmp_path, 20)
    start = mapped_bytes()
    read = {key: store.get(key) for key in images}
    assert mapped_bytes() - start > 15 * MEGABYTE
    store.flush()
    assert mapped_bytes() - start < 5 * MEGABYTE
    assert all(numpy.array_equal(read[key], array) for key, array in images.items())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_pixels_that_were_read_is_bounded_without_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "_MAPPED_BYTES", 4 * MEGABYTE)
    store, images = stored_megabytes(tmp_path, 20)
    start = mapped_bytes()
    read = {}
    for key in images:
        read[key] = store.get(key)
        assert mapped_bytes() - start < 6 * MEGABYTE
    assert all(numpy.array_equal(read[key], array) for key, array in images.items())


def test_pixels_are_read_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put("a", full_of(7))
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            store.get("a")[0] = 1  # type: ignore[index]
        store.flush()


def test_pixels_of_another_decoder_version_are_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    store.put("a", full_of(7))
    store.flush()
    monkeypatch.setattr(disk_module, "DECODER", "another")
    assert opened(tmp_path).get("a") is None


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "a changed pixel": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "a changed index": lambda data: data[:1005] + bytes([data[1005] ^ 1]) + data[1006:],
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damaged", DAMAGES.values(), ids=DAMAGES)
def test_damaged_pixel_files_are_not_served(
    tmp_path: Path, damaged: Callable[[bytes], bytes]
) -> None:
    store = opened(tmp_path)
    store.put("a", full_of(7))
    store.flush()
    (path,) = tmp_path.iterdir()
    path.write_bytes(damaged(path.read_bytes()))
    store = opened(tmp_path)
    assert store.get("a") is None
    assert store.put("a", full_of(7))
    store.flush()
    assert numpy.array_equal(store.get("a"), full_of(7))


@given(st.binary(max_size=300))
def test_files_of_another_format_are_ignored(data: bytes) -> None:
    with TemporaryDirectory() as name:
        (Path(name) / "x.pixels").write_bytes(data)
        assert opened(Path(name)).get("a") is None


@pytest.mark.parametrize("images", [0, 3, 40, 200])
def test_kill_leaves_whole_images_only(tmp_path: Path, images: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(images)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGKILL)
    store = opened(tmp_path, 10**9)
    served = [store.get(str(i)) for i in range(images + 1)]
    for i, pixels in enumerate(served):
        assert pixels is None or (pixels == i % 251).all()
    assert all(pixels is not None for pixels in served[: images // 7 * 7])
    assert store.put("after", full_of(1))
    (temporary_file,) = tmp_path.glob("*.tmp")
    assert f"-{process.pid}-" not in temporary_file.name


def test_processes_write_to_one_folder_concurrently(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    processes = [
        subprocess.Popen([*command, str(count), "stop"], stdout=subprocess.DEVNULL)
        for count in (90, 60, 30)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    store = opened(tmp_path)
    for i in range(85):
        pixels = store.get(str(i))
        assert pixels is not None
        assert (pixels == i % 251).all()


def test_threads_and_stores_write_to_one_folder_concurrently(tmp_path: Path) -> None:
    stores = [opened(tmp_path) for _ in range(3)]

    def work(i: int) -> bool:
        store = stores[i % 3]
        store.put(str(i % 50), full_of(i % 50))
        if i % 20 == 0:
            store.flush()
        return numpy.array_equal(store.get(str(i % 50)), full_of(i % 50))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(600)))
    for store in stores:
        store.flush()
    final = opened(tmp_path)
    assert all(numpy.array_equal(final.get(str(i)), full_of(i)) for i in range(50))


def test_unwritable_folder_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "pixels").write_text("a file where the folder should be")
    messages: list[str] = []
    store = DiskStore(tmp_path / "pixels", MEGABYTE, messages.append)
    assert [store.put(str(i), full_of(i)) for i in range(3)] == [False] * 3
    assert store.get("0") is None
    assert len(messages) == 1
    assert messages[0].startswith("decoded images stay in memory: ")
    assert "\n" not in messages[0]


def test_full_disk_is_reported_once_and_keeps_stored_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    store = DiskStore(tmp_path, MEGABYTE, messages.append)
    store.put("a", full_of(1))
    store.flush()

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_module._PixelFileWriter, "add", no_space)
    assert not store.put("b", full_of(2))
    assert not store.put("c", full_of(3))
    assert messages == [
        f"decoded images stay in memory: {tmp_path} cannot be written: No space left on device"
    ]
    assert numpy.array_equal(store.get("a"), full_of(1))
    assert len(list(tmp_path.iterdir())) == 1


def test_at_most_half_of_the_free_disk_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", ["free"])

    def disk_usage(folder: Path) -> tuple[int]:
        return usage(100_000 - bytes_in(folder))

    monkeypatch.setattr(disk_module.shutil, "disk_usage", disk_usage)
    store = opened(tmp_path)
    assert [store.put(str(i), full_of(i, 20_000)) for i in range(3)] == [True, True, False]


def test_second_scan_decodes_nothing_and_has_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = references(tmp_path / "images", 6)
    scan_images(images, RecordedProgress(), "reading", disk=opened(tmp_path / "kept"))
    for module in ("scan.decode_image", "cache.open_image"):
        monkeypatch.setattr(f"latte.data.{module}", lambda _: pytest.fail("decoded"))
    scan = scan_images(images, RecordedProgress(), "reading", disk=opened(tmp_path / "kept"))
    for index in range(6):
        assert scan.cache.get(index).tobytes() == picture(index).tobytes()
    assert cache_module.open_image is not None


def test_scan_caches_in_memory_without_room_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = references(tmp_path / "images", 4)
    scan = scan_images(images, RecordedProgress(), "reading", disk=opened(tmp_path / "kept", 0))
    monkeypatch.setattr(cache_module, "open_image", lambda _: pytest.fail("decoded"))
    assert [scan.cache.get(i).tobytes() for i in range(4)] == [
        picture(i).tobytes() for i in range(4)
    ]
    assert not (tmp_path / "kept").exists()


def test_bound_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LATTE_IMAGE_CACHE", raising=False)
    assert bound_from_environment() == 20 * 1024**3
    monkeypatch.setenv("LATTE_IMAGE_CACHE", "0.5")
    assert bound_from_environment() == 1024**3 // 2


@pytest.mark.parametrize("written", ["much", "-1", "nan", "inf", ""])
def test_invalid_bound_is_rejected_with_the_command_that_sets_one(
    monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("LATTE_IMAGE_CACHE", written)
    with pytest.raises(LatteError, match="not a number of GiB") as caught:
        bound_from_environment()
    assert caught.value.hint is not None
    assert "export LATTE_IMAGE_CACHE=20" in caught.value.hint
