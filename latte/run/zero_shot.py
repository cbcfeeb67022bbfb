"""Stage `zero-shot`: features of images and classes by the frozen CLIP and by encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
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
    EncoderFeatures,
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
    clip = workspace.frozen_clip
    training = encode_images(workspace, images.training, "encode images")
    evaluation = encode_images(workspace, images.evaluation, "encode test images")
    with workspace.encoding():
        class_features = encode_class_texts(clip, images.class_texts)
    _warn_of_equal_classes(workspace.progress, images.class_names, class_features)
    labels = zero_shot_labels(training, class_features, workspace.progress)
    examples = None
    if images.examples is not None:
        examples = encode_images(workspace, images.examples, "encode examples")
    names = workspace.encoders if with_encoders else ()
    encoders = {name: _encode_beside(workspace, images, name) for name in names}
    return ZeroShot(training, evaluation, class_features, labels, examples, encoders)


def _encode_beside(workspace: Workspace, images: Images, name: str) -> EncoderFeatures:
    """Encode all images with the encoder `name`. Raises `LatteError` that names it."""
    encode = partial(_encode_with, workspace, name)
    examples = None
    if images.examples is not None:
        examples = encode(images.examples, f"encode examples with {name}")
    return EncoderFeatures(
        encode(images.training, f"encode images with {name}"),
        encode(images.evaluation, f"encode test images with {name}"),
        examples,
    )


def _encode_with(workspace: Workspace, name: str, images: Scan, title: str) -> Tensor:
    """Return unit features (N, E) of `images` by an encoder; read known ones from the cache."""
    encoder = workspace.encoders[name]
    (choice,) = (choice for choice in workspace.recipe.encoders if choice.label == name)
    if not images.keys:
        return torch.empty(0, encoder.embedding_width)
    size, progress = workspace.recipe.evaluate.batch_size, workspace.progress

    def encode(missing: Sequence[int]) -> Tensor:
        with workspace.encoding(), naming_encoder(name):
            return encode_cached_images(encoder, images.cache, size, progress, title, missing)

    return cached_features(
        workspace.context.cache_dir,
        (*workspace.identity_of(encoder, choice), "images"),
        images.keys,
        encode,
        encoder.embedding_width,
        progress,
        title,
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
    feature_sets: list[ZeroShot | EncoderFeatures] = [zero_shot, *zero_shot.encoders.values()]
    for features in feature_sets:
        same_count(path, "training images", [len(features.training), len(images.training.images)])
        same_count(path, "test images", [len(features.evaluation), len(images.evaluation.images)])
        if images.example_count is not None:
            examples = 0 if features.examples is None else len(features.examples)
            same_count(path, "examples", [examples, images.example_count])
    return zero_shot


def encode_images(
    workspace: Workspace,
    images: Scan,
    name: str,
    trunk: Trunk | None = None,
    trained: Sequence[str] = (),
) -> Tensor:
    """Return the frozen CLIP's unit features (N, D) of `images`; read known ones from the cache.

    `trunk` splits the image tower into frozen layers and the layers after them. If it is given,
    return the outputs (N, W) of the frozen layers instead. The names of the `trained` parameters
    determine which layers are frozen, so they are part of the cache key.
    """
    clip = workspace.frozen_clip
    width = clip.embedding_width if trunk is None else trunk.width
    if not images.keys:
        return torch.empty(0, width)
    size, progress = workspace.recipe.evaluate.batch_size, workspace.progress

    def encode(missing: Sequence[int]) -> Tensor:
        with workspace.encoding():
            return encode_cached_images(clip, images.cache, size, progress, name, missing, trunk)

    kind = ("images",) if trunk is None else ("states of images", *trained)
    return cached_features(
        workspace.context.cache_dir,
        (*workspace.feature_identity, *kind),
        images.keys,
        encode,
        width,
        progress,
        name,
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
