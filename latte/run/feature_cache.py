"""Disk cache of frozen-CLIP features: each image and text is encoded once, for all runs.

The last bit of a feature can depend on the other images in its batch. So if an image folder grows
between runs, features can differ in the last bit from a run that encodes the whole folder at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from latte import distributed
from latte.interfaces import Progress
from latte.io.files import digest, write_atomically
from latte.io.tensor_files import tensor_digest
from latte.toolkit.blocks import rows_per_block

_KEY_BYTES = 16
_FULL = 4
"""Largest size of a file, in blocks (see `latte.toolkit.blocks`): together 64 MiB."""
_MOST_SMALL = 8
"""Number of small files, below a quarter of the largest size, that are merged."""


def cached_features(
    cache: Path,
    identity: Sequence[str],
    keys: Sequence[str],
    encode: Callable[[Sequence[int]], Tensor],
    width: int,
    progress: Progress,
    name: str,
) -> Tensor:
    """Return features (N, width) from the cache; encode missing features and add them to the cache.

    Images or texts with equal content have equal `keys`. `identity` names everything else that
    determines a feature, such as the model. `encode` takes distinct indices into `keys`, and
    returns their features (M, width). `name` names this work in progress messages.
    """
    if torch.are_deterministic_algorithms_enabled():
        identity = ("deterministic", *identity)
    blocks = FeatureBlocks(cache / "features" / digest(*identity), width)
    first_indices, inverse = _distinct(keys)
    distinct = keys if inverse is None else [keys[index] for index in first_indices]
    features = torch.zeros(len(distinct), width)
    is_cached = torch.zeros(len(distinct), dtype=torch.bool)
    if distributed.is_main_process():
        is_cached = blocks.read(distinct, features)
    is_cached = distributed.broadcast_tensors({"known": is_cached})["known"]
    if is_cached.any():
        progress.say(f"{name}: {int(is_cached.sum()):,} features reused from the cache")
        features = distributed.broadcast_tensors({"features": features})["features"]
    missing = (~is_cached).nonzero().flatten()
    if len(missing):
        encoded = encode([first_indices[place] for place in missing.tolist()])
        if distributed.is_main_process():
            try:
                blocks.add([distinct[place] for place in missing.tolist()], encoded)
            except (OSError, SafetensorError) as error:  # the run can go on without a cache
                progress.say(
                    f"{name}: features are not cached: {blocks.folder} cannot be written: {error}"
                )
        if is_cached.any():
            features[missing] = encoded
        else:
            features = encoded  # takes half the memory of a copy
    return features if inverse is None else features[inverse]


def _distinct(keys: Sequence[str]) -> tuple[Sequence[int], Tensor | None]:
    """Find repeated keys, so that equal images or texts are encoded only once.

    Returns the index of each distinct key's first occurrence, and the positions (N,) of the N keys
    in the list of distinct keys. The positions are None if all keys are distinct.
    """
    numbers: dict[str, int] = {}
    inverse = [numbers.setdefault(key, len(numbers)) for key in keys]
    if len(numbers) == len(keys):
        return range(len(keys)), None
    first_index = dict(zip(reversed(inverse), reversed(range(len(keys))), strict=True))
    return [first_index[number] for number in range(len(numbers))], torch.tensor(inverse)


@dataclass(frozen=True)
class FeatureBlocks:
    """Files in `folder` that store fp32 features by the key of an image or text.

    Files are never changed: small files are merged into a new, larger file.
    """

    folder: Path
    width: int

    def read(self, keys: Sequence[str], out: Tensor) -> Tensor:
        """Copy the stored features of the distinct `keys` into the same rows of `out` (N, width).

        Returns a bool mask (N,) of the rows that were found. A damaged file is removed, and its
        features count as missing.
        """
        is_stored = torch.zeros(len(keys), dtype=torch.bool)
        hashed_keys = _hashed(keys)
        order = numpy.argsort(hashed_keys)
        hashed_keys, places = hashed_keys[order], torch.from_numpy(order)
        for path in self._paths():
            if (file_keys := self._keys(path)) is None:
                continue
            positions = numpy.searchsorted(hashed_keys, file_keys).clip(max=len(hashed_keys) - 1)
            source = torch.from_numpy((hashed_keys[positions] == file_keys).nonzero()[0])
            target = places[torch.from_numpy(positions)[source]]
            source, target = source[~is_stored[target]], target[~is_stored[target]]
            if len(source) and (rows := self._rows(path, len(file_keys))) is not None:
                out[target] = rows[source]
                is_stored[target] = True
        return is_stored

    def add(self, keys: Sequence[str], features: Tensor) -> None:
        """Store R features (R, width), one per key; keys are distinct.

        Raises `OSError` if writing fails.
        """
        small_files = self._small_files()
        hashed_keys = numpy.concatenate(
            [*(file_keys for _, file_keys, _ in small_files), _hashed(keys)]
        )
        rows = (
            torch.cat([*(rows for *_, rows in small_files), features]) if small_files else features
        )
        _, distinct_rows = numpy.unique(hashed_keys, return_index=True)
        written = {
            self._write(hashed_keys[part], rows[torch.from_numpy(part)])
            for part in numpy.split(
                distinct_rows, range(self._full, len(distinct_rows), self._full)
            )
        }
        for path, *_ in small_files:
            if path not in written:
                _remove(path)

    @property
    def _full(self) -> int:
        return _FULL * rows_per_block(self.width)

    def _paths(self) -> list[Path]:
        try:
            return sorted(self.folder.glob("[!.]*.safetensors"))
        except OSError:
            return []

    def _keys(self, path: Path) -> NDArray[Any] | None:
        keys = _read(path, "keys", torch.uint8, _KEY_BYTES)
        return None if keys is None else keys.numpy().copy().view(f"S{_KEY_BYTES}").reshape(-1)

    def _rows(self, path: Path, count: int) -> Tensor | None:
        return _read(path, "features", torch.float32, self.width, count)

    def _small_files(self) -> list[tuple[Path, NDArray[Any], Tensor]]:
        """Return path, keys and features of all small files, if there are enough to merge."""
        files = [(path, keys) for path in self._paths() if (keys := self._keys(path)) is not None]
        small = [(path, keys) for path, keys in files if len(keys) < self._full // 4]
        if len(small) < _MOST_SMALL:
            return []
        opened = ((path, keys, self._rows(path, len(keys))) for path, keys in small)
        return [(path, keys, rows) for path, keys, rows in opened if rows is not None]

    def _write(self, keys: NDArray[Any], rows: Tensor) -> Path:
        key_bytes = torch.from_numpy(keys.view(numpy.uint8).reshape(-1, _KEY_BYTES).copy())
        tensors = {"keys": key_bytes, "features": rows.contiguous()}
        digests = {name: tensor_digest({name: value}) for name, value in tensors.items()}
        path = self.folder / f"{digests['keys']}.safetensors"
        with write_atomically(path) as temporary:
            save_file(tensors, temporary, metadata=digests)
        return path


def _read(
    path: Path, name: str, dtype: torch.dtype, width: int, count: int | None = None
) -> Tensor | None:
    """Return the matrix `name` of a file, memory-mapped; remove a damaged file and return None."""
    try:
        with safe_open(path, framework="pt") as file:
            matrix: Tensor = file.get_tensor(name)
            if (file.metadata() or {}).get(name) != tensor_digest({name: matrix}):
                raise ValueError("its bytes are not those that were written")
        if matrix.dtype != dtype or matrix.ndim != 2 or matrix.shape[1] != width or not len(matrix):
            raise ValueError("it has another shape")
        if count not in (None, len(matrix)):
            raise ValueError("it has not a row per key")
    except (SafetensorError, OSError, RuntimeError, ValueError):
        _remove(path)  # unless another process has already merged and removed it
        return None
    return matrix


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _hashed(keys: Sequence[str]) -> NDArray[Any]:
    digests = (hashlib.blake2b(key.encode(), digest_size=_KEY_BYTES).digest() for key in keys)
    return numpy.frombuffer(b"".join(digests), dtype=f"S{_KEY_BYTES}")
