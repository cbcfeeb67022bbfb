"""Pixels kept on disk across runs and processes, within a bound; never a reason for a run to fail.

What was not used for longest is removed first, and nothing that any process used within the hour:
users touch a shard before they read it, and again every ten minutes. A file that is gone by then is
not read, though its map would outlast it on a local disk: on a network file system it would not.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import RLock

import PIL
from PIL import features

from latte.data.shards import (
    SUFFIX,
    TEMPORARY_SUFFIX,
    Pixels,
    Shard,
    ShardWriter,
    index_bytes,
)
from latte.interfaces import LatteError

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
