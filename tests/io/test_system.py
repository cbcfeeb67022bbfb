"""Locks exclude other processes on every system, and readers never."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest

from latte.io import system
from latte.io.system import flush, lock


class PretendedWindows:
    """The module `msvcrt`: each byte of a file can be locked by one open file."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.holders: dict[int, int] = {}
        """The open file that has locked each place."""

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if self.holders.setdefault(place, descriptor) != descriptor:
            raise PermissionError(13, "Permission denied")


@pytest.fixture(params=["this system", "Windows"])
def windows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PretendedWindows:
    """The system of this machine, and one without `fcntl`."""
    pretended = PretendedWindows()
    if request.param == "Windows":
        monkeypatch.setattr(system, "fcntl", None)
        monkeypatch.setattr(system, "msvcrt", pretended)
    return pretended


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with content."""
    file = tmp_path / "answers"
    file.write_bytes(b"content")
    return file


def close(file: IO[Any], windows: PretendedWindows) -> None:
    """Close a file; on Windows, this ends its locks."""
    windows.holders = {
        place: holder for place, holder in windows.holders.items() if holder != file.fileno()
    }
    file.close()


def test_second_lock_is_refused_until_the_first_ends(path: Path, windows: PretendedWindows) -> None:
    with path.open("r+b") as second:
        first = path.open("r+b")
        assert lock(first, wait=False)
        assert not lock(second, wait=False)
        close(first, windows)
        assert lock(second, wait=False)


def test_waiting_lock_comes_when_the_first_ends(path: Path, windows: PretendedWindows) -> None:
    first, second = path.open("r+b"), path.open("r+b")
    lock(first, wait=True)
    order: list[str] = []

    def wait() -> None:
        lock(second, wait=True)
        order.append("second")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    order.append("first ends")
    close(first, windows)
    thread.join(10)
    second.close()
    assert order == ["first ends", "second"]


def test_locked_file_keeps_its_place_and_is_read_by_everybody(
    path: Path, windows: PretendedWindows
) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(3)
        assert lock(file, wait=True)
        assert file.read() == b"tent"
        assert path.read_bytes() == b"content"
    assert all(place == 2**40 for place in windows.holders)


def test_windows_flushes_a_file_that_is_open_for_writing(
    path: Path, windows: PretendedWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def fsync(descriptor: int) -> None:
        if system.fcntl is None:
            os.write(descriptor, b"")  # fails for a file that is open for reading, as `fsync` does
        flushed.append(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    flush(path)
    assert len(flushed) == 1
    assert path.read_bytes() == b"content"


HOLDER = """\
import sys, time
from latte.io.system import lock
file = open(sys.argv[1], "r+b")
assert lock(file, wait=False)
print("locked", flush=True)
time.sleep(60)
"""


def test_killed_process_loses_its_lock(path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
    with path.open("r+b") as file:
        assert not lock(file, wait=False)
        holder.kill()
        holder.wait()
        assert lock(file, wait=False)
    holder.stdout.close()
