"""Stage `zero-shot`: features of images and classes by the frozen CLIP and by encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from latte.interfaces import Classifier, LatteError, Progress, Trunk, long_task
from latte.io.files import write_atomically
from latte.io.tensor_files import load_tensors, save_tensors
from latte.results.run import Run
from latte.results.stored import explained, same_count
from latte.run.feature_cache import cached_features
from latte.run.images import Images
from latte.run.workspace import Workspace, naming_encoder
from latte.toolkit.blocks import row_blocks
from latte.toolkit.encoder_agreement import encoder_weights, joined_features

_SAME = 1 - 5e-6
"""Cosine similarity above which two text features count as equal up to rounding."""

_ENCODERS = "encoders"
_UNIT = 1e-2
"""Largest accepted difference between the length of a stored unit feature and 1."""


@dataclass(frozen=True)
class EncoderFeatures:
    """Unit features of all images by one of the recipe's encoders, on the CPU."""

    training: Tensor
    """(N, E): the training images."""
    evaluation: Tensor
    """(M, E): the evaluation images."""
    examples: Tensor | None = None
    """The examples, as in `ZeroShot`."""

    @property
    def joined(self) -> EncoderFeatures:
        """The same features, where the examples are training images, too."""
        if self.examples is None:
            return self
        return EncoderFeatures(torch.cat([self.training, self.examples]), self.evaluation)


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
    encoders: Mapping[str, EncoderFeatures] = field(default_factory=dict)
    """Features by the recipe's encoders, by name, in the recipe's order."""

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
            encoders={name: features.joined for name, features in self.encoders.items()},
        )

    def training_of(self, models: Sequence[str]) -> list[Tensor]:
        """Return the features of the training images that each of `models` takes.

        These are learners with a frozen CLIP, and encoders.
        """
        encoders = self.encoders
        return [encoders[name].training if name in encoders else self.training for name in models]

    def evaluation_of(self, models: Sequence[str]) -> list[Tensor]:
        """Return the features of the evaluation images as `training_of` does."""
        encoders = self.encoders
        return [
            encoders[name].evaluation if name in encoders else self.evaluation for name in models
        ]

    @property
    def training_with_encoders(self) -> Tensor:
        """Unit rows (N, D + E + ...) whose cosines say which training images are similar.

        They are `training` itself unless an encoder sees the same classes as the CLIP.
        """
        features = {name: encoder.training for name, encoder in self.encoders.items()}
        weights = encoder_weights(self.training, self.zero_shot_labels, features)
        return joined_features(self.training, features, weights)

    @property
    def classifier(self) -> Classifier:
        """The zero-shot classifier, with one prototype per class."""
        return Classifier(self.class_features, torch.arange(len(self.class_features)))


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
            features = encode_cached_images(encoder, images.cache, size, progress, title, missing)
            if not _are_unit(features):
                raise LatteError(
                    "the features of this encoder are not normalised",
                    hint="report it to the author of the plugin",
                )
            return features

    return cached_features(
        workspace.context.cache_dir,
        (*workspace.identity_of(encoder, choice), "images"),
        images.keys,
        encode,
        encoder.embedding_width,
        progress,
        title,
    )


def _are_unit(features: Tensor) -> bool:
    """Return True if all rows have length 1; False for NaN, too."""
    return bool(((features.norm(dim=1) - 1).abs() < _UNIT).all())


def encode_names(workspace: Workspace, images: Images, names: Sequence[str]) -> Tensor:
    """Return the frozen CLIP's unit features (K, D) of K `names`, inserted into the templates."""
    templates = images.templates or (images.template,)
    texts = ClassTexts.of(templates, [(name,) for name in names])
    with workspace.encoding():
        return encode_class_texts(workspace.frozen_clip, texts).to(workspace.device)


def zero_shot_labels(
    image_features: Tensor, class_features: Tensor, progress: Progress | None = None
) -> Tensor:
    """Return the nearest class (N,) of N images, from unit features (N, D) and (C, D)."""
    nearest = [torch.zeros(0, dtype=torch.int64)]
    with long_task(progress, "zero-shot labels", len(image_features), "images") as task:
        for rows in row_blocks(len(image_features), len(class_features)):
            nearest.append((image_features[rows] @ class_features.T).argmax(dim=1))
            task.advance(rows.stop - rows.start)
    return torch.cat(nearest)


def save_zero_shot(path: Path, zero_shot: ZeroShot) -> None:
    """Write `zero_shot.safetensors`; the tensors of the encoder NAME are `encoders/NAME/...`."""
    tensors = {name: value for name, value in vars(zero_shot).items() if name != _ENCODERS}
    for name, features in zero_shot.encoders.items():
        tensors |= {f"{_ENCODERS}/{name}/{part}": rows for part, rows in vars(features).items()}
    with write_atomically(path) as temporary:
        save_tensors(
            temporary, {name: value for name, value in tensors.items() if value is not None}
        )


def load_zero_shot(
    path: Path, images: Images | None = None, encoders: Sequence[str] | None = None
) -> ZeroShot:
    """Load features and labels. Raises `LatteError` for a damaged file or other `images`.

    `encoders` are the names of the recipe's encoders, in the recipe's order; None means those of
    the file.
    """
    with explained(path):
        zero_shot = _from_tensors(load_tensors(path), encoders)
        _check(zero_shot)
    if images is None:
        return zero_shot
    same_count(path, "classes", [len(zero_shot.class_features), len(images.class_names)])
    feature_sets: list[ZeroShot | EncoderFeatures] = [zero_shot, *zero_shot.encoders.values()]
    for features in feature_sets:
        same_count(path, "training images", [len(features.training), len(images.training.images)])
        same_count(path, "test images", [len(features.evaluation), len(images.evaluation.images)])
        if images.corrections is not None:
            examples = 0 if features.examples is None else len(features.examples)
            same_count(path, "examples", [examples, len(images.corrections.examples.images)])
    return zero_shot


def training_features(run: Run) -> Tensor | None:
    """Return `training_with_encoders` of a finished run; None if the run stored no features."""
    path = run.folder.zero_shot
    return load_zero_shot(path).training_with_encoders if path.exists() else None


def _from_tensors(tensors: Mapping[str, Tensor], names: Sequence[str] | None) -> ZeroShot:
    """Return the features in the tensors of a file. Raises `ValueError` if some are missing."""
    encoder_tensors: dict[str, dict[str, Tensor]] = {}
    for key in [key for key in tensors if key.startswith(f"{_ENCODERS}/")]:
        _, name, part = key.split("/")
        encoder_tensors.setdefault(name, {})[part] = tensors[key]
    names = sorted(encoder_tensors) if names is None else names
    if {*names} != {*encoder_tensors}:
        raise ValueError("it does not have the features of the recipe's encoders")
    clip_tensors = {
        key: value for key, value in tensors.items() if not key.startswith(f"{_ENCODERS}/")
    }
    return ZeroShot(
        **clip_tensors, encoders={name: EncoderFeatures(**encoder_tensors[name]) for name in names}
    )


def _check(zero_shot: ZeroShot) -> None:
    _check_features(
        [zero_shot.training, zero_shot.evaluation, zero_shot.class_features, zero_shot.examples]
    )
    for features in zero_shot.encoders.values():
        _check_features([features.training, features.evaluation, features.examples])
    labels, classes = zero_shot.zero_shot_labels, len(zero_shot.class_features)
    if labels.dtype != torch.int64 or labels.shape != zero_shot.training.shape[:1]:
        raise ValueError("it does not have one label for each training image")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"a label is none of {classes} classes")


def _check_features(matrices: Sequence[Tensor | None]) -> None:
    """Raise `ValueError` unless the matrices have unit rows of one width."""
    features = [matrix for matrix in matrices if matrix is not None]
    if not all(matrix.dtype == torch.float32 and matrix.ndim == 2 for matrix in features):
        raise ValueError("features are not matrices of fp32")
    if len({matrix.shape[1] for matrix in features}) > 1:
        raise ValueError("features have several widths")
    if not all(_are_unit(matrix) for matrix in features):
        raise ValueError("a feature vector is zero, not normalised, or not finite")


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
