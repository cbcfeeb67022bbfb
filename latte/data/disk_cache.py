"""Disk cache of decoded pixels with a size limit, shared by runs and processes.

A pixel file holds many arrays, an index as JSON, and a trailer that locates the index. It is
memory-mapped for reading. It is renamed when complete, so a killed process leaves no partial file;
checksums detect corruption.

When the cache is full, the least recently used files are removed, except those that any process
used within the last hour: processes update a file's time stamp before they read the file, and again
every ten minutes. A process stops reading a removed file, whose memory map would be invalid on a
network file system. Errors of the cache never stop a run.
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
from threading import Lock, RLock

import numpy
import PIL
from PIL import features

from latte.data.images import Pixels
from latte.io.environment import positive_number
from latte.io.files import make_folder, remove_leftovers, temporary_beside

_VARIABLE = "LATTE_IMAGE_CACHE"
_DEFAULT_GIBIBYTES = 20.0
_SUFFIX = ".pixels"
_FILE_BYTES = 256 * 1024**2
_UNUSED_SECONDS = 3600
_TOUCH_SECONDS = 600
_MAPPED_BYTES = 64 * 1024**2
"""Bytes after which the pages that were read are unmapped, as they count as the process's memory.

A later access maps them again, which takes microseconds while the system still caches the file.
"""
_TRAILER = struct.Struct("<8sQI")
_TRAILER_BYTES = 64  # reserved for the trailer
_MAGIC = b"latte\x00\x01\n"

DECODER = f"{PIL.__version__}-{features.version('jpg')}"
"""Versions of the decoders, as others may decode and resize an image to other pixels."""


def bound_from_environment() -> int:
    """Return the limit `LATTE_IMAGE_CACHE` (GiB) in bytes; raise `LatteError` if it is invalid."""
    effect_of_zero = "keep decoded images in memory alone"
    gibibytes = positive_number(
        os.environ, _VARIABLE, _DEFAULT_GIBIBYTES, "GiB", without=effect_of_zero
    )
    return int(gibibytes * 1024**3)


class DiskStore:
    """Store of pixels by name in a folder, which several threads and processes may use at once."""

    def __init__(self, folder: Path, max_bytes: int, say: Callable[[str], None]) -> None:
        """Use at most `max_bytes`, and at most half of the free space.

        The space that the cache itself takes counts as free. Processes that begin a file at the
        same instant may exceed the limit by one file each.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._say = say
        self._lock = RLock()
        self._writer: _PixelFileWriter | None = None
        self._file_of: dict[str, _PixelFile] = {}
        self._touched: dict[Path, float] = {}
        self._mapped = _MappedPages()
        self._writable = max_bytes > 0
        self.refresh()

    def __contains__(self, name: str) -> bool:
        """Return True if `name` is stored, and mark it as used."""
        name = _versioned(name)
        file = self._file_of.get(name)
        if file is not None and self._use(file):
            return True
        return self._writer is not None and name in self._writer.entries

    def get(self, name: str) -> Pixels | None:
        """Return the read-only pixels that are stored as `name`, or None."""
        name = _versioned(name)
        file = self._file_of.get(name)
        if file is None:
            with self._lock:
                if self._writer is not None and name in self._writer.entries:
                    return self._writer.read(name)
                file = self._file_of.get(name)
        if file is None or not self._use(file):
            return None
        pixels = file.read(name)
        if pixels is None:
            with self._lock:
                self._file_of.pop(name, None)
        else:
            self._mapped.note(file, pixels.nbytes)
        return pixels

    def put(self, name: str, pixels: Pixels) -> bool:
        """Store `pixels` as `name`. Returns False if they do not fit or cannot be written."""
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
                    self._writer = self._begin(pixels.nbytes + _index_bytes(name) + _TRAILER_BYTES)
                if self._writer is None:
                    # No file can be removed: do not search the folder again for each image.
                    self._writable = False
                    return False
                self._writer.add(name, pixels)
            except OSError as error:
                self._give_up(error)
                return False
            return True

    def flush(self) -> None:
        """Make stored pixels available to other processes and later runs; free their memory."""
        with self._lock:
            for file in {*self._file_of.values()}:
                file.release()
            if self._writer is None:
                return
            try:
                file = _PixelFile(self._writer.seal())
                self._add(file)
                self._use(file)
                self._writer = None
            except OSError as error:
                self._give_up(error)

    def refresh(self) -> None:
        """Find pixels that other processes have stored in the meantime."""
        with self._lock, contextlib.suppress(OSError):
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
                    self._add(_PixelFile(path))

    def _add(self, file: _PixelFile) -> None:
        self._file_of.update(dict.fromkeys(file.entries, file))

    def _use(self, file: _PixelFile) -> bool:
        """Mark `file` as used, for all processes. Returns False if it was removed."""
        now = time.time()
        if now - self._touched.get(file.path, 0.0) < _TOUCH_SECONDS:
            return True
        try:
            os.utime(file.path)
        except FileNotFoundError:
            self._forget(file.path)
            return False
        except OSError:  # the file belongs to another user, or the disk is read-only
            pass
        self._touched[file.path] = now
        return True

    def _begin(self, needed_bytes: int) -> _PixelFileWriter | None:
        """Begin a pixel file with room for `needed_bytes`; None if there is not enough room."""
        make_folder(self._folder)
        remove_leftovers(self._folder)
        room = self._make_room(needed_bytes)
        if room < needed_bytes:
            return None
        name = f"{time.time_ns():x}-{secrets.token_hex(4)}{_SUFFIX}"
        return _PixelFileWriter(self._folder / name, room)

    def _make_room(self, needed_bytes: int) -> int:
        """Remove least recently used files if needed; return how many bytes may then be added."""
        wanted_bytes = max(needed_bytes, min(_FILE_BYTES, self._max_bytes // 8))
        files = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                status = path.stat()
                files.append((path, status.st_size, status.st_mtime))
        total = sum(size for _, size, _ in files)
        bound = min(self._max_bytes, (total + shutil.disk_usage(self._folder).free) // 2)
        for path, size, last_use in sorted(files, key=lambda file: file[2]):
            if total + wanted_bytes <= bound:
                break
            if path.name.endswith(_SUFFIX) and time.time() - last_use > _UNUSED_SECONDS:
                self._forget(path)
                with contextlib.suppress(OSError):  # it may belong to another user
                    path.unlink(missing_ok=True)
                    total -= size
        return min(wanted_bytes, bound - total)

    def _forget(self, path: Path) -> None:
        with self._lock:
            for name in [name for name, file in self._file_of.items() if file.path == path]:
                del self._file_of[name]

    def _give_up(self, error: OSError) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.discard()
        self._writer = None
        self._writable = False
        reason = error.strerror or str(error)
        self._say(f"decoded images stay in memory: {self._folder} cannot be written: {reason}")


def _versioned(name: str) -> str:
    return f"{name}@{DECODER}"


@dataclass(frozen=True)
class _StoredPixels:
    offset: int
    shape: tuple[int, ...]
    checksum: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class _PixelFile:
    def __init__(self, path: Path) -> None:
        """Open `path`. Raises `OSError` or `ValueError` if it is not a complete pixel file."""
        self.path = path
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.entries = self._read_index()
        self._checked: set[str] = set()

    def _read_index(self) -> dict[str, _StoredPixels]:
        end = len(self._map) - _TRAILER.size
        if end < 0:
            raise ValueError("truncated")
        magic, length, checksum = _TRAILER.unpack_from(self._map, end)
        index = self._map[end - length : end] if length <= end else b""
        if magic != _MAGIC or zlib.crc32(index) != checksum:
            raise ValueError("not a pixel file")
        entries = {}
        for name, *numbers in json.loads(index):
            if not isinstance(name, str) or not all(
                type(number) is int and number >= 0 for number in numbers
            ):
                raise ValueError("not a pixel file")
            offset, *shape, stored = numbers
            entries[name] = _StoredPixels(offset, tuple(shape), stored)
            if offset + entries[name].size > end - length:
                raise ValueError("not a pixel file")
        return entries

    def read(self, name: str) -> Pixels | None:
        """Return the array called `name`, read-only; None if its bytes are corrupt."""
        entry = self.entries[name]
        pixels = numpy.frombuffer(self._map, numpy.uint8, entry.size, entry.offset)
        if name not in self._checked:
            if zlib.crc32(pixels.data) != entry.checksum:
                return None
            self._checked.add(name)
        return pixels.reshape(entry.shape)

    def release(self) -> None:
        """Unmap the pages that were read; the next access maps them again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


class _MappedPages:
    """Files whose pages were read since they were last unmapped; several threads may use it."""

    def __init__(self) -> None:
        self._files: set[_PixelFile] = set()
        self._bytes = 0
        self._lock = Lock()

    def note(self, file: _PixelFile, count: int) -> None:
        """Note that `count` bytes of `file` were read; unmap all noted pages if they are many."""
        with self._lock:
            self._files.add(file)
            self._bytes += count
            if self._bytes < _MAPPED_BYTES:
                return
            for read_file in self._files:
                read_file.release()
            self._files.clear()
            self._bytes = 0


class _PixelFileWriter:
    """A pixel file that is being written; other processes see it after `seal`."""

    def __init__(self, path: Path, room: int) -> None:
        """Create a file of `room` bytes, which other processes count towards the limit."""
        self._path = path
        self._temporary = temporary_beside(path)
        self._room = room - _TRAILER.size
        self._end = 0
        self._indexed = 0
        self.entries: dict[str, _StoredPixels] = {}
        self._file = self._temporary.open("xb+", buffering=0)
        self._file.truncate(room)

    def fits(self, name: str, pixels: Pixels) -> bool:
        return self._end + pixels.nbytes + self._indexed + _index_bytes(name) <= self._room

    def add(self, name: str, pixels: Pixels) -> None:
        data = numpy.ascontiguousarray(pixels).data.cast("B")
        self._file.seek(self._end)
        if self._file.write(data) != len(data):
            raise OSError("only a part could be written")
        self.entries[name] = _StoredPixels(self._end, pixels.shape, zlib.crc32(data))
        self._end += len(data)
        self._indexed += _index_bytes(name)

    def read(self, name: str) -> Pixels:
        entry = self.entries[name]
        self._file.seek(entry.offset)
        return numpy.frombuffer(self._file.read(entry.size), numpy.uint8).reshape(entry.shape)

    def seal(self) -> Path:
        rows = [
            [name, entry.offset, *entry.shape, entry.checksum]
            for name, entry in self.entries.items()
        ]
        index = json.dumps(rows, separators=(",", ":")).encode()
        with self._file as file:
            file.seek(self._end)
            file.write(index + _TRAILER.pack(_MAGIC, len(index), zlib.crc32(index)))
            file.truncate()
        self._temporary.replace(self._path)
        return self._path

    def discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def _index_bytes(name: str) -> int:
    """Return an upper bound of the bytes that an array called `name` adds to the index."""
    return len(json.dumps(name)) + 100
