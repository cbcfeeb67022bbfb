"""Stage `zero-shot`: what the frozen CLIP sees, kept across runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte.backbone.encode import encode_cached_images, encode_class_texts
from latte.data.cache import ImageCache
from latte.interfaces import Progress
from latte.io.files import write_atomically
from latte.io.tensor_files import load_tensors, save_tensors
from latte.results.stored import explained, same_count
from latte.run.feature_cache import kept_features
from latte.run.images import Images
from latte.run.workspace import Workspace
from latte.toolkit.blocks import row_blocks

_SAME = 1 - 5e-6
"""Cosine similarity of texts that differ by rounding alone."""


@dataclass(frozen=True)
class ZeroShot:
    """Unit features of the frozen CLIP, on the CPU."""

    training: Tensor
    """(N, D)"""
    evaluation: Tensor
    """(M, D)"""
    class_features: Tensor
    """(C, D)"""
    zero_shot_labels: Tensor
    """(N,) int64: the nearest class of each training image."""


def compute_zero_shot(workspace: Workspace, images: Images) -> ZeroShot:
    """Encode all images and class names with the frozen CLIP."""
    clip = workspace.frozen_clip
    features = [
        _image_features(workspace, scan.keys, scan.cache, name)
        for scan, name in (
            (images.training, "encode images"),
            (images.evaluation, "encode test images"),
        )
    ]
    class_features = encode_class_texts(clip, images.class_texts)
    tell_alike(workspace.progress, images.class_names, class_features)
    labels = zero_shot_labels(features[0], class_features)
    return ZeroShot(features[0], features[1], class_features, labels)


def zero_shot_labels(image_features: Tensor, class_features: Tensor) -> Tensor:
    """Unit features of images (N, D) and classes (C, D) -> the nearest class (N,) of each image."""
    blocks = row_blocks(len(image_features), len(class_features))
    nearest = [(image_features[rows] @ class_features.T).argmax(dim=1) for rows in blocks]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *nearest])


def tell_alike(progress: Progress, class_names: Sequence[str], class_features: Tensor) -> None:
    """Say where texts (C, D) of two classes are one to CLIP: it reads no case, and 77 tokens."""
    alike = [
        (first, rows.start + at)
        for rows in row_blocks(len(class_features), len(class_features))
        for at, first in _earlier_twins(class_features, rows)
    ]
    if alike:
        first, second = (class_names[label] for label in alike[0])
        progress.say(
            f"warning: to this CLIP {len(alike)} classes are the same as an earlier one, and get "
            f"no image: {second!r} is the same as {first!r}"
        )


def _earlier_twins(features: Tensor, rows: slice) -> Iterator[tuple[int, int]]:
    """Of each row of a block that equals an earlier row of all: its place, and the first such."""
    same = features[rows] @ features[: rows.stop].T > _SAME
    for at in (same.sum(dim=1) > 1).nonzero().flatten().tolist():
        first = int(same[at].nonzero()[0])
        if first < rows.start + at:
            yield at, first


def save_zero_shot(path: Path, zero_shot: ZeroShot) -> None:
    """Write the stage's artifact."""
    with write_atomically(path) as temporary:
        save_tensors(temporary, vars(zero_shot))


def load_zero_shot(path: Path) -> ZeroShot:
    """Read what `save_zero_shot` wrote. Raises `LatteError` for a damaged file."""
    with explained(path):
        found = ZeroShot(**load_tensors(path))
        _check(found)
    return found


def zero_shot_of(path: Path, images: Images) -> ZeroShot:
    """The same, of a run's `images`. Raises `LatteError` for a file about others."""
    found = load_zero_shot(path)
    same_count(path, "training images", [len(found.training), len(images.training.images)])
    same_count(path, "test images", [len(found.evaluation), len(images.evaluation.images)])
    same_count(path, "classes", [len(found.class_features), len(images.class_names)])
    return found


def _check(found: ZeroShot) -> None:
    """Raise `ValueError` for tensors that do not go together."""
    features = (found.training, found.evaluation, found.class_features)
    if not all(one.dtype == torch.float32 and one.ndim == 2 for one in features):
        raise ValueError("features are not matrices of fp32")
    if len({one.shape[1] for one in features}) > 1:
        raise ValueError("features have several widths")
    if not all(one.isfinite().all() for one in features):
        raise ValueError("a feature is not a finite number")
    labels, classes = found.zero_shot_labels, len(found.class_features)
    if labels.dtype != torch.int64 or labels.shape != found.training.shape[:1]:
        raise ValueError("it does not have one label for each training image")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"a label is none of {classes} classes")


def _image_features(
    workspace: Workspace, keys: Sequence[str], images: ImageCache, name: str
) -> Tensor:
    clip = workspace.frozen_clip
    if not keys:
        return torch.empty(0, clip.embedding_width)
    size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
    return kept_features(
        workspace.context.cache_dir,
        (clip.fingerprint, "images"),
        keys,
        lambda missing: encode_cached_images(clip, images, size, progress, name, missing),
        clip.embedding_width,
        progress,
        name,
    )
