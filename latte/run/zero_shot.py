"""Stage `zero-shot`: what the frozen CLIP sees, kept across runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from latte.backbone.encode import encode_cached_images, encode_class_texts
from latte.data.cache import ImageCache
from latte.files import digest, write_atomically
from latte.interfaces import Backbone, Progress
from latte.run.images import Images
from latte.run.workspace import Workspace


@dataclass(frozen=True)
class ZeroShot:
    """Unit features of the frozen CLIP, on the CPU."""

    training: Tensor
    """(N, D)"""
    evaluation: Tensor
    """(M, D)"""
    class_features: Tensor
    """(C, D)"""
    frozen_labels: Tensor
    """(N,) int64: the nearest class of each training image."""


def compute_zero_shot(workspace: Workspace, images: Images) -> ZeroShot:
    """Encode all images and class names with the frozen CLIP."""
    clip, progress = workspace.frozen_clip, workspace.progress
    batch_size = workspace.recipe.evaluate.batch_size
    cache = workspace.context.cache_dir / "features"
    features = [
        _kept_features(cache, clip, scan.keys, pixels, batch_size, progress, name)
        for scan, pixels, name in (
            (images.training, images.training.cache, "encode images"),
            (images.evaluation, images.evaluation.cache, "encode test images"),
        )
    ]
    class_features = encode_class_texts(clip, images.template, images.class_names)
    labels = (features[0] @ class_features.T).argmax(dim=1)
    return ZeroShot(features[0], features[1], class_features, labels)


def save_zero_shot(path: Path, zero_shot: ZeroShot) -> None:
    """Write the stage's artifact."""
    tensors = {name: value.contiguous() for name, value in vars(zero_shot).items()}
    with write_atomically(path) as temporary:
        save_file(tensors, temporary)


def load_zero_shot(path: Path) -> ZeroShot:
    """Read what `save_zero_shot` wrote."""
    return ZeroShot(**load_file(path))


def _kept_features(
    folder: Path,
    clip: Backbone,
    keys: Sequence[str],
    images: ImageCache,
    batch_size: int,
    progress: Progress,
    name: str,
) -> Tensor:
    """Features from the cache, or encoded and put there. A damaged file is written anew."""
    if not keys:
        return torch.empty(0, clip.embedding_width)
    path = folder / f"{digest(clip.fingerprint, *keys)}.safetensors"
    if path.exists():
        try:
            features = load_file(path)["features"]
            progress.say(f"{name}: {len(keys)} features reused from the cache")
            return features
        except (SafetensorError, KeyError, OSError):
            path.unlink(missing_ok=True)
    features = encode_cached_images(clip, images, batch_size, progress, name)
    with write_atomically(path) as temporary:
        save_file({"features": features}, temporary)
    return features
