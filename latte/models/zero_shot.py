"""Features and labels by the frozen CLIP and by encoders, and the file that stores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from latte.backbone.features import are_unit
from latte.interfaces import Classifier, Progress, long_task
from latte.io.files import write_atomically
from latte.io.tensor_files import load_tensors, save_tensors
from latte.results.stored import explained
from latte.toolkit.blocks import row_blocks

_ENCODERS = "encoders"


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
    def classifier(self) -> Classifier:
        """The zero-shot classifier, with one prototype per class."""
        return Classifier(self.class_features, torch.arange(len(self.class_features)))


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


def load_zero_shot(path: Path, encoders: Sequence[str] | None = None) -> ZeroShot:
    """Load features and labels. Raises `LatteError` for a damaged file.

    `encoders` are the names of the recipe's encoders, in the recipe's order; None means those of
    the file.
    """
    with explained(path):
        zero_shot = _from_tensors(load_tensors(path), encoders)
        _check(zero_shot)
    return zero_shot


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
    if not all(are_unit(matrix) for matrix in features):
        raise ValueError("a feature vector is zero, not normalised, or not finite")
