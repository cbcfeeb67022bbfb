"""Features of images by frozen models, the labels of CLIP, and the file that stores both."""

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


@dataclass(frozen=True)
class ImageFeatures:
    """Unit features of all images by one frozen model, the CLIP or an encoder, on the CPU."""

    training: Tensor
    """(N, D): the training images."""
    evaluation: Tensor
    """(M, D): the evaluation images."""
    examples: Tensor | None = None
    """(E, D): images that join the training images because a person gave their classes."""

    @property
    def joined(self) -> ImageFeatures:
        """The same features, where the examples are training images, too."""
        if self.examples is None:
            return self
        return ImageFeatures(torch.cat([self.training, self.examples]), self.evaluation)


@dataclass(frozen=True)
class ZeroShot:
    """Unit features by the frozen models, and zero-shot labels by the CLIP, on the CPU."""

    clip: ImageFeatures
    """Features of the images by the frozen CLIP."""
    class_features: Tensor
    """(C, D): the class texts."""
    zero_shot_labels: Tensor
    """(N,) int64: for each training image, the class with the nearest text feature."""
    encoders: Mapping[str, ImageFeatures] = field(default_factory=dict)
    """Features of the images by the recipe's encoders, by name, in the recipe's order."""

    @property
    def joined(self) -> ZeroShot:
        """The same features, where the examples are training images, too."""
        if self.clip.examples is None:
            return self
        examples = zero_shot_labels(self.clip.examples, self.class_features)
        return replace(
            self,
            clip=self.clip.joined,
            zero_shot_labels=torch.cat([self.zero_shot_labels, examples]),
            encoders={name: features.joined for name, features in self.encoders.items()},
        )

    @property
    def table(self) -> dict[str, ImageFeatures]:
        """The features by every model: the CLIP's, called `""`, then those of the encoders."""
        return {"": self.clip, **self.encoders}

    def of(self, member: str) -> ImageFeatures:
        """Return the features that a member of a model takes: an encoder, or a frozen learner."""
        return self.encoders.get(member, self.clip)

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
    tensors = {
        "class_features": zero_shot.class_features,
        "zero_shot_labels": zero_shot.zero_shot_labels,
    }
    for name, features in zero_shot.table.items():
        rows_of_part = {part: rows for part, rows in vars(features).items() if rows is not None}
        tensors |= {f"{_prefix(name)}{part}": rows for part, rows in rows_of_part.items()}
    with write_atomically(path) as temporary:
        save_tensors(temporary, tensors)


def load_zero_shot(path: Path, encoders: Sequence[str] | None = None) -> ZeroShot:
    """Load features and labels. Raises `LatteError` for a damaged file.

    `encoders` are the names of the recipe's encoders, in the recipe's order; None means those of
    the file.
    """
    with explained(path):
        zero_shot = _from_tensors(load_tensors(path), encoders)
        _check(zero_shot)
    return zero_shot


def _prefix(name: str) -> str:
    """Return the beginning of the names of a model's tensors in the file."""
    return f"encoders/{name}/" if name else ""


def _from_tensors(tensors: Mapping[str, Tensor], names: Sequence[str] | None) -> ZeroShot:
    """Return the features in the tensors of a file. Raises `ValueError` if some are missing."""
    stored = sorted({key.split("/")[1] for key in tensors if "/" in key})
    names = stored if names is None else names
    if {*names} != {*stored}:
        raise ValueError("it does not have the features of the recipe's encoders")
    table = {
        name: ImageFeatures(
            tensors[f"{_prefix(name)}training"],
            tensors[f"{_prefix(name)}evaluation"],
            tensors.get(f"{_prefix(name)}examples"),
        )
        for name in ("", *names)
    }
    clip = table.pop("")
    return ZeroShot(clip, tensors["class_features"], tensors["zero_shot_labels"], table)


def _check(zero_shot: ZeroShot) -> None:
    for features in zero_shot.table.values():
        _check_features([features.training, features.evaluation, features.examples])
    _check_features([zero_shot.clip.training, zero_shot.class_features])
    labels, classes = zero_shot.zero_shot_labels, len(zero_shot.class_features)
    if labels.dtype != torch.int64 or labels.shape != zero_shot.clip.training.shape[:1]:
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
