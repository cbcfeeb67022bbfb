"""Features of the frozen CLIP that are cached across runs: each image is encoded once.

A feature can differ in its last bit with the batch that it was encoded in. A folder that grew has
features from several batches, and so not always the bits of a run that encodes it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from latte import processes
from latte.files import digest
from latte.interfaces import Progress
from latte.run.feature_blocks import FeatureBlocks


def kept_features(
    cache: Path,
    identity: Sequence[str],
    keys: Sequence[str],
    encode: Callable[[Sequence[int]], Tensor],
    width: int,
    progress: Progress,
    name: str,
) -> Tensor:
    """Return the features (N, width) of what `keys` name, from the cache or encoded and put there.

    Args:
        cache: the folder of everything that is kept across runs.
        identity: all that features depend on beside what a key names, such as the CLIP.
        keys: one per row, equal where the content is.
        encode: encodes the rows with these indices, ascending and without twins: (M, width).
        width: of a feature.
        progress: is told how many were reused, and a cache that cannot be written.
        name: what progress calls this.
    """
    if torch.are_deterministic_algorithms_enabled():
        identity = ("deterministic", *identity)
    blocks = FeatureBlocks(cache / "features" / digest(*identity), width)
    first, inverse = _distinct(keys)
    distinct = keys if inverse is None else [keys[place] for place in first]
    features = torch.zeros(len(distinct), width)
    known = torch.zeros(len(distinct), dtype=torch.bool)
    if processes.is_first():
        known = blocks.read(distinct, features)
    known = processes.tensors_of_first({"known": known})["known"]
    if known.any():
        progress.say(f"{name}: {int(known.sum())} features reused from the cache")
        features = processes.tensors_of_first({"features": features})["features"]
    missing = (~known).nonzero().flatten()
    if len(missing):
        encoded = encode([first[place] for place in missing.tolist()])
        if processes.is_first():
            _keep(blocks, [distinct[place] for place in missing.tolist()], encoded, progress, name)
        features[missing] = encoded
    return features if inverse is None else features[inverse]


def _distinct(keys: Sequence[str]) -> tuple[Sequence[int], Tensor | None]:
    """Where each of U distinct keys comes first, and its number for each key (N,), if U < N."""
    numbers: dict[str, int] = {}
    inverse = [numbers.setdefault(key, len(numbers)) for key in keys]
    if len(numbers) == len(keys):
        return range(len(keys)), None
    first = dict(zip(reversed(inverse), reversed(range(len(keys))), strict=True))
    return [first[number] for number in range(len(numbers))], torch.tensor(inverse)


def _keep(
    blocks: FeatureBlocks, keys: Sequence[str], features: Tensor, progress: Progress, name: str
) -> None:
    """For later runs; a cache that cannot be written is no reason for this one to fail."""
    try:
        blocks.add(keys, features)
    except (OSError, SafetensorError) as error:
        progress.say(f"{name}: features are not kept: {blocks.folder} cannot be written: {error}")
