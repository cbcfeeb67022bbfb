"""Features of the frozen CLIP that are kept across runs: encoded once, and read after that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from latte import processes
from latte.files import digest, remove_leftovers, write_atomically
from latte.interfaces import Progress
from latte.tensor_files import DamagedTensorsError, load_tensors, save_tensors


def kept_features(
    cache: Path,
    identity: Sequence[str],
    encode: Callable[[], Tensor],
    shape: tuple[int, int],
    progress: Progress,
    name: str,
) -> Tensor:
    """The features that `identity` names, from the folder `cache`, or encoded and put there.

    `identity` must say all that they depend on: the CLIP, and what it encodes, in order. `shape` is
    that of the features, and `name` what progress is told. A damaged file is written anew.
    """
    if torch.are_deterministic_algorithms_enabled():
        identity = ("deterministic", *identity)
    path = cache / "features" / f"{digest(*identity)}.safetensors"
    found = _read(path, shape) if processes.is_first() else None
    if processes.of_first(lambda: found is not None):
        features = load_tensors(path)["features"] if found is None else found
        progress.say(f"{name}: {len(features)} features reused from the cache")
        return features
    features = encode()
    if processes.is_first():
        _keep(path, features, progress, name)
    return features


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """The features, if they are there and whole; a damaged file is removed."""
    if not path.exists():
        return None
    try:
        features = load_tensors(path).get("features")
    except (DamagedTensorsError, OSError):
        features = None
    if features is None or features.dtype != torch.float32 or tuple(features.shape) != shape:
        with suppress(OSError):
            path.unlink()
        return None
    return features


def _keep(path: Path, features: Tensor, progress: Progress, name: str) -> None:
    """For later runs; a cache that cannot be written is no reason for this one to fail."""
    try:
        remove_leftovers(path.parent)
        with write_atomically(path) as temporary:
            save_tensors(temporary, {"features": features})
    except (OSError, SafetensorError) as error:
        progress.say(f"{name}: features are not kept: {path.parent} cannot be written: {error}")
