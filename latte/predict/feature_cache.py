"""Disk cache of features of new images: `latte predict` encodes the same images once.

The last bits of a feature depend on the other images of its batch, on the number of threads and on
the versions of the libraries. So a file has the features of one batch, and its name is a digest of
all of these: features from the cache equal those that would be computed.

A file is renamed when it is complete, and has a digest of its content, so that a killed process
leaves nothing that another one would read. Processes may use the cache at the same time. Errors of
the cache never stop a prediction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from latte.backbone.features import are_unit
from latte.backbone.precision import arithmetic_identity
from latte.data.cache import DecodedImages
from latte.data.disk_cache import DECODER
from latte.io.environment import cache_folder, positive_number
from latte.io.files import digest, make_folder, remove_leftovers, temporary_name
from latte.io.tensor_files import DamagedTensorsError, load_tensors, save_tensors
from latte.models.adapted import Member
from latte.version import __version__

_VARIABLE = "LATTE_PREDICT_CACHE"
_DEFAULT_GIBIBYTES = 1.0
_SUFFIX = ".safetensors"
_FEATURES = "features"
_HEADER_BYTES = 1024
"""Upper bound of the bytes of a file besides its features."""
_NOTED_AT_ONCE = 1024
"""Number of decoded images after which their keys are written, in case the process is killed."""


class FeatureCache:
    """Features of batches of images on disk, and the keys of images that were decoded earlier."""

    def __init__(
        self, folder: Path, max_bytes: int, decoded: DecodedImages, say: Callable[[str], None]
    ) -> None:
        """Use at most `max_bytes` in `folder`; `say` reports that it cannot be written.

        Processes that write at the same time may together exceed the limit by an eighth each.
        """
        self.reused: int = 0
        """Number of features that were found."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._room = 0
        self._decoded = decoded
        self._new_keys: set[str] = set()
        self._say = say
        self._writable = max_bytes > 0

    @property
    def decoded(self) -> Collection[str]:
        """Content keys of images that need not be decoded to know that they can be."""
        return self._decoded.keys

    def read(self, member: Member, keys: Sequence[str]) -> Tensor | None:
        """Return the features (B, D) of a batch of images by a member; None if they are missing.

        `keys` are the content keys of the images in their order. A damaged file is removed.
        """
        path = self._path(member, keys)
        try:
            features = load_tensors(path).get(_FEATURES)
        except DamagedTensorsError:
            with suppress(OSError):
                path.unlink()
            return None
        except OSError:
            return None
        if features is None or features.shape != (len(keys), member.encoder.embedding_width):
            return None
        if features.dtype != torch.float32 or not are_unit(features):
            return None
        with suppress(OSError):  # the file belongs to another user
            os.utime(path)
        self.reused += len(keys)
        return features

    def write(self, member: Member, keys: Sequence[str], features: Tensor) -> None:
        """Store the features (B, D) of a batch of images by a member, if there is room for them."""
        path, needed_bytes = self._path(member, keys), features.nbytes + _HEADER_BYTES
        if not self._writable:
            return
        temporary = temporary_name(path)
        try:
            if self._room < needed_bytes:
                self._room = self._make_room(needed_bytes)
            if self._room < needed_bytes:
                return
            save_tensors(temporary, {_FEATURES: features})
            temporary.replace(path)
            self._room -= needed_bytes
        except (OSError, SafetensorError) as error:
            self._give_up(error)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def note_decoded(self, keys: Collection[str]) -> None:
        """Note that images with these keys were decoded."""
        self._new_keys |= {*keys} - self._decoded.keys
        if len(self._new_keys) >= _NOTED_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write which images were decoded, for later calls."""
        self._decoded.note(self._new_keys)
        self._new_keys.clear()

    def _path(self, member: Member, keys: Sequence[str]) -> Path:
        return self._folder / f"{digest(digest(*_identity(member)), *keys)}{_SUFFIX}"

    def _make_room(self, needed_bytes: int) -> int:
        """Remove the least recently used files; return how many bytes may then be added."""
        make_folder(self._folder)
        remove_leftovers(self._folder)
        files = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        wanted_bytes = max(needed_bytes, self._max_bytes // 8)
        for _, size, path in sorted(files):
            if total + wanted_bytes <= self._max_bytes:
                break
            with suppress(OSError):  # it may belong to another user
                path.unlink(missing_ok=True)
                total -= size
        return min(wanted_bytes, self._max_bytes - total)

    def _give_up(self, error: Exception) -> None:
        self._writable = False
        reason = getattr(error, "strerror", None) or str(error)
        self._say(f"features are not cached: {self._folder} cannot be written: {reason}")


def open_feature_cache(say: Callable[[str], None]) -> FeatureCache | None:
    """Return the cache in latte's cache folder; None if `LATTE_PREDICT_CACHE` is 0.

    The variable is the limit in GiB. Raises `LatteError` if it is invalid.
    """
    effect_of_zero = "encode all images in each call"
    gibibytes = positive_number(
        os.environ, _VARIABLE, _DEFAULT_GIBIBYTES, "GiB", without=effect_of_zero
    )
    if gibibytes == 0:
        return None
    folder = cache_folder()
    max_bytes = int(gibibytes * 1024**3)
    return FeatureCache(folder / "predict", max_bytes, DecodedImages(folder / "decoded"), say)


def _identity(member: Member) -> tuple[str, ...]:
    """Return everything beside the images on which the bits of a member's features depend."""
    device = member.encoder.device
    threads = str(torch.get_num_threads()) if device.type == "cpu" else ""
    return (
        member.encoder.fingerprint,
        member.code or "",
        *arithmetic_identity(member.arithmetic, device),
        str(torch.are_deterministic_algorithms_enabled()),
        threads,
        torch.backends.cpu.get_cpu_capability(),
        torch.__version__,
        __version__,
        DECODER,
    )
