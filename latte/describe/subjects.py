"""What a description is about: each image, a group for each image, or fewer groups a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from latte.data.groups import draw_class_groups, draw_groups
from latte.data.oracle import draw_oracle_groups
from latte.data.seeds import seed_from
from latte.interfaces import DescriptionType, LatteError

if TYPE_CHECKING:
    from torch import Tensor

    from latte.describe.plan import TrainingSet


@dataclass(frozen=True)
class Subjects:
    """S images or groups, each of them of one frozen label."""

    members: Tensor
    """(S, size): for each subject, the rows of the training set that are shown, in order."""
    groups: Tensor | None = None
    """The same; None where the subjects are the images."""
    own: Tensor | None = None
    """(N,) int64: the subject of each training image; None: subject i is that of image i."""

    def labels(self, frozen_labels: Tensor) -> Tensor:
        """The frozen label (S,) of each subject, from those of the images (N,)."""
        return frozen_labels if self.own is None else subject_labels(self.own, frozen_labels)


def subject_labels(own: Tensor, frozen_labels: Tensor) -> Tensor:
    """The frozen label (S,) of each subject; `own` (N,) says which one each image has."""
    labels = frozen_labels.new_zeros(int(own.max()) + 1 if len(own) else 0)
    labels[own] = frozen_labels
    return labels


def draw_subjects(
    training: TrainingSet, label: str, kind: DescriptionType[Any], seed: int
) -> Subjects:
    """The subjects of the description `label`. Raises `LatteError` where labels are missing."""
    if kind.scope != "group":
        return Subjects(torch.arange(len(training.images))[:, None])
    own_seed = seed_from(f"groups {label}", seed)
    if kind.groups_per_class is None:
        groups = _group_of_each_image(training, label, kind, own_seed)
        return Subjects(groups, groups)
    if kind.correct_images is not None:
        raise LatteError(
            f"the groups of `{label}` are drawn by labels, one for each image, and not so many "
            "for each class",
            where=f"descriptions.{label}",
        )
    groups, own = draw_class_groups(
        training.frozen_labels, kind.group_size, kind.groups_per_class, own_seed
    )
    return Subjects(groups, groups, own)


def _group_of_each_image(
    training: TrainingSet, label: str, kind: DescriptionType[Any], seed: int
) -> Tensor:
    """(N, size) rows of the training set."""
    if kind.correct_images is None:
        return draw_groups(training.frozen_labels, kind.group_size, seed)
    if training.oracle_labels is None:
        raise LatteError(
            f"the groups of `{label}` are drawn by ground-truth labels, which this run may not use",
            hint="write `oracle: true` at the top of the recipe, if this is an ablation",
        )
    return draw_oracle_groups(
        training.frozen_labels, training.oracle_labels, kind.group_size, kind.correct_images, seed
    )
