"""Stage `zero-shot`: features of images and classes by the frozen CLIP and by encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from latte.backbone.encode import (
    ClassTexts,
    encode_cached_images,
    encode_class_texts,
)
from latte.data.scan import Scan
from latte.interfaces import Progress, Trunk
from latte.models.zero_shot import (
    ImageFeatures,
    ZeroShot,
    load_zero_shot,
    zero_shot_labels,
)
from latte.results.stored import same_count
from latte.run.feature_cache import cached_features
from latte.run.images import Images
from latte.run.workspace import Workspace, naming_encoder
from latte.toolkit.blocks import row_blocks

_SAME = 1 - 5e-6
"""Cosine similarity above which two text features count as equal up to rounding."""


def compute_zero_shot(
    workspace: Workspace, images: Images, *, with_encoders: bool = True
) -> ZeroShot:
    """Encode all images with the frozen CLIP and the encoders, and all classes with the CLIP."""
    clip = _features(workspace, images)
    class_features, labels = _classes(workspace, images, clip)
    names = workspace.recipe.encoder_names if with_encoders else ()
    encoders = {name: _features(workspace, images, name) for name in names}
    return ZeroShot(clip, class_features, labels, encoders)


def with_classes_of(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> ZeroShot:
    """Return the features of the images in `zero_shot` with the class texts of `images`."""
    class_features, labels = _classes(workspace, images, zero_shot.clip)
    return replace(zero_shot, class_features=class_features, zero_shot_labels=labels)


def _classes(workspace: Workspace, images: Images, clip: ImageFeatures) -> tuple[Tensor, Tensor]:
    """Return the features (C, D) of the class texts, and the labels (N,) of the images by them."""
    with workspace.encoding():
        class_features = encode_class_texts(workspace.frozen_clip, images.class_texts)
    _warn_of_equal_classes(workspace.progress, images.class_names, class_features)
    return class_features, zero_shot_labels(clip.training, class_features, workspace.progress)


def _features(workspace: Workspace, images: Images, encoder: str | None = None) -> ImageFeatures:
    """Encode all images with the frozen CLIP, or with the encoder of this name."""
    ending = "" if encoder is None else f" with {encoder}"

    def encode(scan: Scan, what: str) -> Tensor:
        return encode_images(workspace, scan, f"encode {what}{ending}", encoder=encoder)

    examples = images.examples
    return ImageFeatures(
        encode(images.training, "images"),
        encode(images.evaluation, "test images"),
        None if examples is None else encode(examples, "examples"),
    )


def encode_names(workspace: Workspace, images: Images, names: Sequence[str]) -> Tensor:
    """Return the frozen CLIP's unit features (K, D) of K `names`, inserted into the templates."""
    templates = images.templates or (images.template,)
    texts = ClassTexts.of(templates, [(name,) for name in names])
    with workspace.encoding():
        return encode_class_texts(workspace.frozen_clip, texts).to(workspace.device)


def load_zero_shot_of(images: Images, path: Path, encoders: Sequence[str]) -> ZeroShot:
    """Load features and labels of `images`. Raises `LatteError` for a damaged file or other images.

    `encoders` are the names of the recipe's encoders, in the recipe's order.
    """
    zero_shot = load_zero_shot(path, encoders)
    same_count(path, "classes", [len(zero_shot.class_features), len(images.class_names)])
    for features in zero_shot.table.values():
        same_count(path, "training images", [len(features.training), len(images.training.images)])
        same_count(path, "test images", [len(features.evaluation), len(images.evaluation.images)])
        if images.example_count is not None:
            examples = 0 if features.examples is None else len(features.examples)
            same_count(path, "examples", [examples, images.example_count])
    return zero_shot


def encode_images(
    workspace: Workspace,
    images: Scan,
    title: str,
    trunk: Trunk | None = None,
    trained: Sequence[str] = (),
    *,
    encoder: str | None = None,
) -> Tensor:
    """Return unit features (N, D) of `images` by a frozen model; read known ones from the cache.

    The model is the recipe's encoder of this name, or the frozen CLIP. Errors name an encoder.
    `trunk` splits the CLIP's image tower into frozen layers and the layers after them. If it is
    given, return the outputs (N, W) of the frozen layers instead. The names of the `trained`
    parameters determine which layers are frozen, so they are part of the cache key.
    """
    model = workspace.frozen_model(encoder)
    width = model.embedding_width if trunk is None else trunk.width
    if not images.keys:
        return torch.empty(0, width)
    size, progress = workspace.recipe.evaluate.batch_size, workspace.progress

    def encode(missing: Sequence[int]) -> Tensor:
        with workspace.encoding(), naming_encoder(encoder):
            return encode_cached_images(model, images.cache, size, progress, title, missing, trunk)

    kind = ("images",) if trunk is None else ("states of images", *trained)
    return cached_features(
        workspace.context.cache_dir,
        (*workspace.feature_identity(encoder), *kind),
        images.keys,
        encode,
        width,
        progress,
        title,
    )


def _warn_of_equal_classes(
    progress: Progress, class_names: Sequence[str], class_features: Tensor
) -> None:
    """Warn if classes have equal text features: CLIP ignores case and cuts texts to 77 tokens."""
    blocks = row_blocks(len(class_features), len(class_features))
    equal_rows = [pair for rows in blocks for pair in _equal_to_earlier(class_features, rows)]
    if equal_rows:
        earlier_name, later_name = (class_names[label] for label in equal_rows[0])
        progress.say(
            f"warning: to this CLIP {len(equal_rows)} classes are the same as an earlier one, and "
            f"get no image: {later_name!r} is the same as {earlier_name!r}"
        )


def _equal_to_earlier(features: Tensor, rows: slice) -> Iterator[tuple[int, int]]:
    """Yield (earlier row, row) for each row in `rows` that is equal to an earlier row."""
    is_equal = features[rows] @ features[: rows.stop].T > _SAME
    for index in (is_equal.sum(dim=1) > 1).nonzero().flatten().tolist():
        earlier_row = int(is_equal[index].nonzero()[0])
        if earlier_row < rows.start + index:
            yield earlier_row, rows.start + index
