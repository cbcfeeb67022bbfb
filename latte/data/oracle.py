"""Groups with a given number of correct images: an oracle, which needs the images' true labels."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.data.groups import distinct_ranks
from latte.data.seeds import seed_from


def draw_oracle_groups(
    labels: Tensor, true_labels: Tensor, size: int, correct: int, seed: int
) -> Tensor:
    """For each image, `correct` images truly of its frozen class and `size - correct` that are not.

    Frozen `labels` (N,) and `true_labels` (N,) int64 -> indices (N, size), in random order. Wrong
    images are drawn from those with the same frozen label, which is how wrong images get into a
    group; where these are too few, all of them are taken, and the rest are images with other true
    and frozen labels. Images repeat only where there are fewer than are wanted. Where no image is
    truly of the class, all of the group are wrong; where every image is, none.

    Source: LatteCLIP, supplementary material, table 1, which does not say how wrong images are
    chosen.
    """
    if not 0 <= correct <= size:
        raise ValueError(f"{correct} of {size} images cannot be correct")
    generator = torch.Generator().manual_seed(seed_from("oracle groups", seed))
    uniform, places = torch.rand(
        2, len(labels), size, generator=generator, dtype=torch.float64
    ).unbind()
    groups = torch.empty(len(labels), size, dtype=torch.int64)
    for label in labels.bincount().nonzero().squeeze(1).tolist():
        rows = (labels == label).nonzero().squeeze(1)
        groups[rows] = _groups_of_class(label, labels, true_labels, uniform[rows], correct)
    return groups.gather(1, places.argsort(dim=1))


def _groups_of_class(
    label: int, labels: Tensor, true_labels: Tensor, uniform: Tensor, correct: int
) -> Tensor:
    """Groups (R, size) of the R images with one frozen label, the correct images first."""
    is_right, is_labelled = true_labels == label, labels == label
    right, confused, others = (
        pool.nonzero().squeeze(1)
        for pool in (is_right, ~is_right & is_labelled, ~is_right & ~is_labelled)
    )
    if not len(right):
        correct = 0
    elif len(right) == len(labels):
        correct = uniform.shape[1]
    return torch.cat(
        [_drawn(right, uniform[:, :correct]), _wrong(confused, others, uniform[:, correct:])], dim=1
    )


def _wrong(confused: Tensor, others: Tensor, uniform: Tensor) -> Tensor:
    """As many `confused` images as there are, filled up with `others`."""
    if len(confused) >= uniform.shape[1] or not len(others):
        return _drawn(confused, uniform)
    every = confused.expand(len(uniform), -1)
    return torch.cat([every, _drawn(others, uniform[:, len(confused) :])], dim=1)


def _drawn(pool: Tensor, uniform: Tensor) -> Tensor:
    """Members (R, n) of `pool` by the draws `uniform` (R, n); `pool` may be empty if n is 0."""
    available = torch.full((len(uniform),), len(pool), dtype=torch.int64)
    return pool[distinct_ranks(available, uniform)]
