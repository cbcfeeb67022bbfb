"""Stage `zero-shot`, and features of images, classes and descriptions by the frozen CLIP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.backbone.encode import (
    ClassTexts,
    encode_cached_images,
    encode_class_texts,
    encode_many_texts,
)
from latte.data.scan import Scan
from latte.describe.bank import ABSENT, DescriptionBank
from latte.interfaces import Classifier, Progress, Trunk
from latte.io.files import write_atomically
from latte.io.tensor_files import load_tensors, save_tensors
from latte.results.stored import explained, same_count
from latte.run.feature_cache import cached_features
from latte.run.images import Images
from latte.run.workspace import Workspace
from latte.toolkit.blocks import row_blocks

_SAME = 1 - 5e-6
"""Cosine similarity above which two text features count as equal up to rounding."""

_UNIT = 1e-2
"""Largest accepted difference between the length of a stored unit feature and 1."""


@dataclass(frozen=True)
class ZeroShot:
    """Unit features and zero-shot labels by the frozen CLIP, on the CPU."""

    training: Tensor
    """(N, D): the training images."""
    evaluation: Tensor
    """(M, D): the evaluation images."""
    class_features: Tensor
    """(C, D): the class texts."""
    zero_shot_labels: Tensor
    """(N,) int64: for each training image, the class with the nearest text feature."""
    examples: Tensor | None = None
    """(E, D): images that join the training images because a person gave their classes."""

    @property
    def joined(self) -> ZeroShot:
        """The same features, where the examples are training images, too."""
        if self.examples is None:
            return self
        return replace(
            self,
            training=torch.cat([self.training, self.examples]),
            zero_shot_labels=torch.cat(
                [self.zero_shot_labels, zero_shot_labels(self.examples, self.class_features)]
            ),
            examples=None,
        )

    @property
    def classifier(self) -> Classifier:
        """The zero-shot classifier, with one prototype per class."""
        return Classifier(self.class_features, torch.arange(len(self.class_features)))


def compute_zero_shot(workspace: Workspace, images: Images) -> ZeroShot:
    """Encode all images and classes with the frozen CLIP; return features and labels."""
    clip = workspace.frozen_clip
    training = encode_images(workspace, images.training, "encode images")
    evaluation = encode_images(workspace, images.evaluation, "encode test images")
    with workspace.encoding():
        class_features = encode_class_texts(clip, images.class_texts)
    _warn_of_equal_classes(workspace.progress, images.class_names, class_features)
    labels = zero_shot_labels(training, class_features)
    examples = None
    if images.examples is not None:
        examples = encode_images(workspace, images.examples, "encode examples")
    return ZeroShot(training, evaluation, class_features, labels, examples)


def encode_names(workspace: Workspace, images: Images, names: Sequence[str]) -> Tensor:
    """Return the frozen CLIP's unit features (K, D) of K `names`, inserted into the templates."""
    templates = images.templates or (images.template,)
    texts = ClassTexts.of(templates, [(name,) for name in names])
    with workspace.encoding():
        return encode_class_texts(workspace.frozen_clip, texts).to(workspace.device)


def zero_shot_labels(image_features: Tensor, class_features: Tensor) -> Tensor:
    """Return the nearest class (N,) of N images, from unit features (N, D) and (C, D)."""
    blocks = row_blocks(len(image_features), len(class_features))
    nearest = [(image_features[rows] @ class_features.T).argmax(dim=1) for rows in blocks]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *nearest])


def save_zero_shot(path: Path, zero_shot: ZeroShot) -> None:
    """Write `zero_shot.safetensors`."""
    with write_atomically(path) as temporary:
        tensors = vars(zero_shot).items()
        save_tensors(temporary, {name: value for name, value in tensors if value is not None})


def load_zero_shot(path: Path, images: Images | None = None) -> ZeroShot:
    """Load features and labels. Raises `LatteError` for a damaged file or other `images`."""
    with explained(path):
        found = ZeroShot(**load_tensors(path))
        _check(found)
    if images is None:
        return found
    same_count(path, "training images", [len(found.training), len(images.training.images)])
    same_count(path, "test images", [len(found.evaluation), len(images.evaluation.images)])
    same_count(path, "classes", [len(found.class_features), len(images.class_names)])
    if images.corrections is not None:
        examples = 0 if found.examples is None else len(found.examples)
        same_count(path, "examples", [examples, len(images.corrections.examples.images)])
    return found


def _check(found: ZeroShot) -> None:
    features = [found.training, found.evaluation, found.class_features]
    features += [] if found.examples is None else [found.examples]
    if not all(one.dtype == torch.float32 and one.ndim == 2 for one in features):
        raise ValueError("features are not matrices of fp32")
    if len({one.shape[1] for one in features}) > 1:
        raise ValueError("features have several widths")
    # The comparison is false for NaN, too.
    if not all(bool(((one.norm(dim=1) - 1).abs() < _UNIT).all()) for one in features):
        raise ValueError("a feature vector is zero, not normalised, or not finite")
    labels, classes = found.zero_shot_labels, len(found.class_features)
    if labels.dtype != torch.int64 or labels.shape != found.training.shape[:1]:
        raise ValueError("it does not have one label for each training image")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"a label is none of {classes} classes")


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
    equal = [pair for rows in blocks for pair in _equal_to_earlier(class_features, rows)]
    if equal:
        first, second = (class_names[label] for label in equal[0])
        progress.say(
            f"warning: to this CLIP {len(equal)} classes are the same as an earlier one, and get "
            f"no image: {second!r} is the same as {first!r}"
        )


def _equal_to_earlier(features: Tensor, rows: slice) -> Iterator[tuple[int, int]]:
    """Yield (earlier row, row) for each row in `rows` that is equal to an earlier row."""
    same = features[rows] @ features[: rows.stop].T > _SAME
    for at in (same.sum(dim=1) > 1).nonzero().flatten().tolist():
        first = int(same[at].nonzero()[0])
        if first < rows.start + at:
            yield first, rows.start + at


class FrozenTexts:
    """The frozen CLIP's features of the texts about training images, for each description.

    If a description has several texts about an image, their features are averaged and normalised.
    """

    def __init__(self, workspace: Workspace, bank: DescriptionBank) -> None:
        self._workspace = workspace
        self._bank = bank
        # No `functools.cache`: it would keep these features until the garbage collector runs.
        self._encoded: dict[str, tuple[Tensor, Tensor]] = {}

    def named(self, name: str) -> Tensor:
        """Return the unit features (N, D) of the description `name`; `KeyError` for other names."""
        return self._features(name, self._bank.own_rows(name))

    def of(self, labels: Tensor) -> Mapping[str, Tensor]:
        """Return unit features (N, D) of each description, by name, in the order of the recipe.

        For descriptions of scope `class`, row i is the text feature of the class `labels[i]`.
        """
        names = [choice.label for choice in self._workspace.recipe.descriptions]
        return {name: self._features(name, self._bank.own_rows(name, labels)) for name in names}

    def every(self) -> Tensor:
        """Return the unit features (M, D) of the bank's M `unique_texts`, in the same order."""
        width = self._workspace.frozen_clip.embedding_width
        features = torch.zeros(len(self._bank.unique_texts), width, device=self._workspace.device)
        for choice in self._workspace.recipe.descriptions:
            known, of_these = self._encode(choice.label)
            features[known.to(features.device)] = of_these
        return features

    def _features(self, name: str, rows: Tensor) -> Tensor:
        known, features = self._encode(name)
        if rows.shape[1] == 1:
            return features[torch.searchsorted(known, rows[:, 0]).to(features.device)]
        return _mean(features, known, rows)

    def _encode(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the sorted indices (U,) of a description's texts, and their features (U, D)."""
        if name in self._encoded:
            return self._encoded[name]
        clip, progress = self._workspace.frozen_clip, self._workspace.progress
        rows = self._bank.distinct_rows(name)
        texts = [self._bank.unique_texts[row] for row in rows.tolist()]
        title = f"encode descriptions `{name}`"

        def encode(missing: Sequence[int]) -> Tensor:
            with self._workspace.encoding():
                return encode_many_texts(clip, [texts[i] for i in missing], progress, title)

        features = cached_features(
            self._workspace.context.cache_dir,
            (*self._workspace.feature_identity, "texts", *texts),
            texts,
            encode,
            clip.embedding_width,
            progress,
            title,
        )
        self._encoded[name] = rows, features.to(self._workspace.device)
        return self._encoded[name]


def _mean(features: Tensor, known: Tensor, rows: Tensor) -> Tensor:
    """Return the normalised mean (N, D) of the features of each image's texts.

    `rows` (N, V) are the indices of each image's texts, padded with `ABSENT`. `features` (U, D) are
    the features of the texts with the sorted indices `known` (U,).
    """
    total = features.new_zeros(len(rows), features.shape[1])
    for column in rows.unbind(1):
        there = (column != ABSENT).to(features.device)
        place = torch.searchsorted(known, column.clamp(min=0)).clamp(max=len(known) - 1)
        total += features[place.to(features.device)] * there[:, None]
    return normalize(total, dim=1)
