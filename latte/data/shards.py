"""Files of many pixel arrays, memory-mapped: whole or absent, and checked before they are used.

A shard is the arrays one after the other, an index as JSON, and a trailer that finds the index. It
is written under a temporary name and renamed when the trailer is in it, so that a process killed at
any time leaves no shard that lacks something. Checksums find what a power cut or a disk changed.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy
from numpy.typing import NDArray

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
