"""Features of the frozen CLIP that are kept across runs: encoded once, and read after that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from latte import processes
from latte.files import digest, write_atomically
from latte.interfaces import Progress


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
    if processes.of_first(lambda: _is_whole(path, shape)):
        features = load_file(path)["features"]
        progress.say(f"{name}: {len(features)} features reused from the cache")
        return features
    features = encode()
    if processes.is_first():
        with write_atomically(path) as temporary:
            save_file({"features": features}, temporary)
    return features


def _is_whole(path: Path, shape: tuple[int, int]) -> bool:
    """Whether there are such features; a damaged file is removed."""
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            features = file.get_slice("features")
            found = features.get_dtype() == "F32" and tuple(features.get_shape()) == shape
    except (SafetensorError, OSError):
        found = False
    if not found:
        path.unlink(missing_ok=True)
    return found
