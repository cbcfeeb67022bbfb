"""Files of many pixel arrays, memory-mapped: whole or absent, and checked before they are used.

A shard is the arrays one after the other, an index as JSON, and a trailer that finds the index. It
is written under a temporary name and renamed when the trailer is in it, so that a process killed at
any time leaves no shard that lacks something. Checksums find what a power cut or a disk changed.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import secrets
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

import numpy
import PIL
from numpy.typing import NDArray
from PIL import features

from latte.interfaces import LatteError

Pixels = NDArray[numpy.uint8]

SUFFIX = ".pixels"
TEMPORARY_SUFFIX = ".pixels.tmp"

_TRAILER = struct.Struct("<8sQI")
_MAGIC = b"latte\x00\x01\n"


@dataclass(frozen=True)
class Entry:
    """Where one array lies in its shard."""

    offset: int
    shape: tuple[int, ...]
    checksum: int

    @property
    def size(self) -> int:
        """Bytes."""
        size = 1
        for side in self.shape:
            size *= side
        return size


def index_bytes(name: str) -> int:
    """No more than what an array called `name` adds to the index."""
    return len(json.dumps(name)) + 100


class ShardWriter:
    """A shard that grows; others see it once it is sealed."""

    def __init__(self, path: Path, room: int) -> None:
        """Reserve `room` bytes, so that others who count what is there count them."""
        self._path = path
        self._temporary = path.with_suffix(TEMPORARY_SUFFIX)
        self._room = room - _TRAILER.size
        self._end = 0
        self._indexed = 0
        self.entries: dict[str, Entry] = {}
        self._file = self._temporary.open("xb+", buffering=0)
        self._file.truncate(room)

    def fits(self, name: str, pixels: Pixels) -> bool:
        """Whether `pixels` can still be added."""
        indexed = self._indexed + index_bytes(name)
        return self._end + pixels.nbytes + indexed <= self._room

    def add(self, name: str, pixels: Pixels) -> None:
        """Append an array. Raises `OSError`, for a full disk say."""
        data = numpy.ascontiguousarray(pixels).data.cast("B")
        self._file.seek(self._end)
        if self._file.write(data) != len(data):
            raise OSError("only a part could be written")
        self.entries[name] = Entry(self._end, pixels.shape, zlib.crc32(data))
        self._end += len(data)
        self._indexed += index_bytes(name)

    def read(self, name: str) -> Pixels:
        """What was added as `name`."""
        entry = self.entries[name]
        self._file.seek(entry.offset)
        return numpy.frombuffer(self._file.read(entry.size), numpy.uint8).reshape(entry.shape)

    def seal(self) -> Path:
        """Make it a shard. Raises `OSError`."""
        rows = [[name, one.offset, *one.shape, one.checksum] for name, one in self.entries.items()]
        index = json.dumps(rows, separators=(",", ":")).encode()
        with self._file as file:
            file.seek(self._end)
            file.write(index + _TRAILER.pack(_MAGIC, len(index), zlib.crc32(index)))
            file.truncate()
        self._temporary.replace(self._path)
        return self._path

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class Shard:
    """A sealed shard, mapped; it stays readable when its file is removed."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` or `ValueError` for what is no shard."""
        self.path = path
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.entries = self._read_index()
        self._checked: set[str] = set()

    def _read_index(self) -> dict[str, Entry]:
        end = len(self._map) - _TRAILER.size
        if end < 0:
            raise ValueError("cut short")
        magic, length, checksum = _TRAILER.unpack_from(self._map, end)
        index = self._map[end - length : end] if length <= end else b""
        if magic != _MAGIC or zlib.crc32(index) != checksum:
            raise ValueError("not a shard")
        entries = {}
        for name, *numbers in json.loads(index):
            if not isinstance(name, str) or not all(_is_size(one) for one in numbers):
                raise ValueError("not a shard")
            offset, *shape, stored = numbers
            entries[name] = Entry(offset, tuple(shape), stored)
            if offset + entries[name].size > end - length:
                raise ValueError("not a shard")
        return entries

    def read(self, name: str) -> Pixels | None:
        """The array called `name`, not writable; None if its bytes are not those that were put."""
        entry = self.entries[name]
        pixels = numpy.frombuffer(self._map, numpy.uint8, entry.size, entry.offset)
        if name not in self._checked:
            if zlib.crc32(pixels.data) != entry.checksum:
                return None
            self._checked.add(name)
        return pixels.reshape(entry.shape)


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 0


# Pixels kept on disk across runs and processes, within a bound; never a reason for a run to fail.
#
# What was not used for longest is removed first, and nothing that any process used within the
# hour: users touch a shard before they read it, and again every ten minutes. A file that is gone
# by then is not read, though its map would outlast it on a local disk: on a network file system
# it would not.


BOUND_VARIABLE = "LATTE_IMAGE_CACHE"
DEFAULT_GIBIBYTES = 20.0

_SHARD_BYTES = 256 * 1024**2
_UNUSED_SECONDS = 3600
_TOUCH_SECONDS = 600
_TRAILER_BYTES = 64

# Other versions may decode and resize to other pixels.
_DECODER = f"{PIL.__version__}-{features.version('jpg')}"


def bound_from_environment() -> int:
    """Bytes of decoded images to keep: `LATTE_IMAGE_CACHE` in GiB. Raises `LatteError`."""
    written = os.environ.get(BOUND_VARIABLE, str(DEFAULT_GIBIBYTES))
    try:
        gibibytes = float(written)
    except ValueError:
        gibibytes = math.nan
    if not (math.isfinite(gibibytes) and gibibytes >= 0):
        raise LatteError(
            f"{BOUND_VARIABLE} is {written!r}, not a number of GiB",
            hint=f"export {BOUND_VARIABLE}=20, or 0 to keep decoded images in memory alone",
        )
    return int(gibibytes * 1024**3)


class DiskStore:
    """A `PixelStore` in a folder that several processes may use at once."""

    def __init__(self, folder: Path, max_bytes: int, say: Callable[[str], None]) -> None:
        """Keep at most `max_bytes`, and at most half of what the disk has free without them.

        `say` is told once, in a line, if nothing can be kept there. Processes that begin a shard
        at the same instant may exceed the bound by a shard each.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._say = say
        self._lock = RLock()
        self._writer: ShardWriter | None = None
        self._shard_of: dict[str, Shard] = {}
        self._touched: dict[Path, float] = {}
        self._writable = max_bytes > 0
        self._open_shards()

    def __contains__(self, name: str) -> bool:
        """Whether `name` is kept; if so, it counts as used."""
        name = _versioned(name)
        shard = self._shard_of.get(name)
        if shard is not None and self._use(shard):
            return True
        return self._writer is not None and name in self._writer.entries

    def get(self, name: str) -> Pixels | None:
        """The pixels that were put as `name`, not writable; None if there are none."""
        name = _versioned(name)
        shard = self._shard_of.get(name)
        if shard is None:
            with self._lock:
                if self._writer is not None and name in self._writer.entries:
                    return self._writer.read(name)
                shard = self._shard_of.get(name)
        if shard is None or not self._use(shard):
            return None
        pixels = shard.read(name)
        if pixels is None:
            with self._lock:
                self._shard_of.pop(name, None)
        return pixels

    def put(self, name: str, pixels: Pixels) -> bool:
        """Keep `pixels` as `name`; False if there is no room, or no way to write."""
        with self._lock:
            if name in self:
                return True
            name = _versioned(name)
            if not self._writable:
                return False
            try:
                if self._writer is not None and not self._writer.fits(name, pixels):
                    self.flush()
                if self._writer is None:
                    self._writer = self._begin(pixels.nbytes + index_bytes(name) + _TRAILER_BYTES)
                if self._writer is None:
                    # All that is left there is in use: looking again for each image is of no use.
                    self._writable = False
                    return False
                self._writer.add(name, pixels)
            except OSError as error:
                self._give_up(error)
                return False
            return True

    def flush(self) -> None:
        """Let other processes and later runs have what was put."""
        with self._lock:
            writer = self._writer
            if writer is None:
                return
            try:
                shard = Shard(writer.seal())
                self._add(shard)
                self._use(shard)
                self._writer = None
            except OSError as error:
                self._give_up(error)

    def look_again(self) -> None:
        """Find also what other processes have kept meanwhile."""
        with self._lock:
            self._open_shards()

    def _open_shards(self) -> None:
        with contextlib.suppress(OSError):
            for path in sorted(self._folder.glob(f"*{TEMPORARY_SUFFIX}")):
                if time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
                    path.unlink(missing_ok=True)
            for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
                    self._add(Shard(path))

    def _add(self, shard: Shard) -> None:
        self._shard_of.update(dict.fromkeys(shard.entries, shard))

    def _use(self, shard: Shard) -> bool:
        """Let others know that `shard` is in use; whether it is still there."""
        now = time.time()
        if now - self._touched.get(shard.path, 0.0) < _TOUCH_SECONDS:
            return True
        try:
            os.utime(shard.path)
        except FileNotFoundError:
            self._forget(shard.path)
            return False
        except OSError:  # of another user, or on a disk that is for reading only
            pass
        self._touched[shard.path] = now
        return True

    def _begin(self, needed: int) -> ShardWriter | None:
        """A new shard, once there is room for `needed` bytes; None if there cannot be."""
        self._folder.mkdir(parents=True, exist_ok=True)
        room = self._make_room(needed)
        if room < needed:
            return None
        name = f"{time.time_ns():x}-{secrets.token_hex(4)}{SUFFIX}"
        return ShardWriter(self._folder / name, room)

    def _make_room(self, needed: int) -> int:
        """Remove what was not used for longest while there is too much; the bytes that fit then."""
        wanted = max(needed, min(_SHARD_BYTES, self._max_bytes // 8))
        files = sorted(_sizes(self._folder), key=lambda one: one[2])
        total = sum(size for _, size, _ in files)
        free = shutil.disk_usage(self._folder).free
        bound = min(self._max_bytes, (total + free) // 2)
        for path, size, used in files:
            if total + wanted <= bound:
                break
            if path.name.endswith(SUFFIX) and time.time() - used > _UNUSED_SECONDS:
                self._forget(path)
                with contextlib.suppress(OSError):  # of another user, who may keep it
                    path.unlink(missing_ok=True)
                    total -= size
        return min(wanted, bound - total)

    def _forget(self, path: Path) -> None:
        with self._lock:
            for name in [name for name, shard in self._shard_of.items() if shard.path == path]:
                del self._shard_of[name]

    def _give_up(self, error: OSError) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.discard()
        self._writer = None
        self._writable = False
        reason = error.strerror or str(error)
        self._say(f"decoded images stay in memory: {self._folder} cannot be written: {reason}")


def _versioned(name: str) -> str:
    return f"{name}@{_DECODER}"


def _sizes(folder: Path) -> list[tuple[Path, int, float]]:
    """Each file with its bytes and when it was last used."""
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((path, status.st_size, status.st_mtime))
    return found
