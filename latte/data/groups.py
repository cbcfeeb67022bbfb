"""Groups of images with equal zero-shot labels, and the grid that shows a group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from latte.data.images import fitted
from latte.toolkit.seeds import seed_from

GRID_SIDE = 672
"""Side of a grid in pixels: two by two tiles of LLaVA 1.6."""

GRID_GAP = 20
"""Pixels between the cells of a grid."""


def draw_groups(labels: Tensor, size: int, seed: int) -> Tensor:
    """Sample a group for each image: labels (N,) int64 -> image indices (N, size).

    All images of a group have the label of the image for which the group is sampled. The group need
    not contain this image. Images repeat only if fewer than `size` images have the label. Source:
    LatteCLIP's released group captioning, which samples without a seed.
    """
    return _draw_with_labels(labels, labels, size, seed_from("groups", seed))


def draw_class_groups(labels: Tensor, size: int, groups: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sample up to `groups` groups of images per label, and assign each image to one of them.

    From labels (N,) int64, return groups (G, size) of image indices, ordered by label, and the
    index (N,) of each image's group. Groups are sampled as in `draw_groups`. A label has at most as
    many groups as images. Images are assigned at random and evenly to the groups of their label, so
    each group gets at least one. A group need not contain the images that are assigned to it.
    """
    counts = labels.bincount()
    groups_per_label = counts.clamp(max=groups)
    label_of_group = torch.arange(len(counts)).repeat_interleave(groups_per_label)
    group_images = _draw_with_labels(labels, label_of_group, size, seed_from("class groups", seed))
    generator = torch.Generator().manual_seed(seed_from("deal out class groups", seed))
    shuffled_images = torch.randperm(len(labels), generator=generator)
    order = shuffled_images[labels[shuffled_images].argsort(stable=True)]
    ordered_labels = labels[order]
    rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[ordered_labels]
    group_index = torch.empty_like(labels)
    first_groups = groups_per_label.cumsum(0) - groups_per_label
    rank_in_label = rank % groups_per_label[ordered_labels]
    group_index[order] = first_groups[ordered_labels] + rank_in_label
    return group_images, group_index


def _draw_with_labels(labels: Tensor, group_labels: Tensor, size: int, seed: int) -> Tensor:
    """Sample `size` images for each label in `group_labels` (M,): image indices (M, size)."""
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    offsets = (counts.cumsum(0) - counts)[group_labels]
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(len(group_labels), size, generator=generator, dtype=torch.float64)
    return order[offsets[:, None] + distinct_ranks(counts[group_labels], uniform)]


def distinct_ranks(available: Tensor, uniform: Tensor) -> Tensor:
    """Sample `size` distinct whole numbers below `available` (N,) in each of N rows.

    The random numbers `uniform` (N, size) in [0, 1) determine the result. Numbers repeat only if
    `available` is less than `size`. Otherwise each number is uniform among those that do not occur
    earlier in its row.
    """
    size = uniform.shape[1]
    repeats = available < size
    ranks = torch.empty(len(available), size, dtype=torch.int64)
    for k in range(size):
        remaining = torch.where(repeats, available, available - k)
        rank = (uniform[:, k] * remaining).long().clamp(max=remaining - 1)
        for earlier_rank in ranks[:, :k].sort(dim=1).values.unbind(1):
            rank += (rank >= earlier_rank) & ~repeats
        ranks[:, k] = rank
    return ranks


def draw_checked_groups(
    labels: Tensor, true_labels: Tensor, size: int, correct: int, seed: int
) -> Tensor:
    """Sample groups with a given number of correct images, for ablations with true labels.

    From zero-shot `labels` (N,) and `true_labels` (N,), both int64, return image indices (N, size).
    The group of an image has, in random order, `correct` images whose true class is the image's
    zero-shot label, and `size - correct` wrong images. Wrong images are those with the same
    zero-shot label; if these are too few, the rest has another zero-shot label and another true
    class. Images repeat only if there are too few. A class without correct images has groups of
    wrong images only, and a class without wrong images has groups of correct images only.

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
    """Sample groups (R, size) for R images with zero-shot label `label`, correct images first."""
    is_right, is_labelled = true_labels == label, labels == label
    right_images, confused_images, other_images = (
        is_in_pool.nonzero().squeeze(1)
        for is_in_pool in (is_right, ~is_right & is_labelled, ~is_right & ~is_labelled)
    )
    if not len(right_images):
        correct = 0
    elif len(right_images) == len(labels):
        correct = uniform.shape[1]
    correct_uniform, other_uniform = uniform[:, :correct], uniform[:, correct:]
    if len(confused_images) >= other_uniform.shape[1] or not len(other_images):
        return torch.cat(
            [_choose(right_images, correct_uniform), _choose(confused_images, other_uniform)], dim=1
        )
    all_confused = confused_images.expand(len(other_uniform), -1)
    drawn_images = _choose(other_images, other_uniform[:, len(confused_images) :])
    return torch.cat([_choose(right_images, correct_uniform), all_confused, drawn_images], dim=1)


def _choose(pool: Tensor, uniform: Tensor) -> Tensor:
    """Sample n items of `pool` for each of R groups, from random numbers (R, n) in [0, 1)."""
    available = torch.full((len(uniform),), len(pool), dtype=torch.int64)
    return pool[distinct_ranks(available, uniform)]


def grid(images: Sequence[Image.Image]) -> Image.Image:
    """Arrange images in at least 2 x 2 cells, 20 px apart, on a black square of 672 x 672 px.

    Each image is centred in a cell, as large as its aspect ratio allows. Source: LatteCLIP's
    released group captioning.
    """
    cells = max(2, math.ceil(math.sqrt(len(images))))
    cell = (GRID_SIDE - GRID_GAP * (cells - 1)) // cells
    if not images or cell < 1:
        raise ValueError(f"{len(images)} images do not make a grid")
    canvas = Image.new("RGB", (GRID_SIDE, GRID_SIDE))
    for position, image in enumerate(images):
        row, column = divmod(position, cells)
        thumbnail = fitted(image, cell)
        left = column * (cell + GRID_GAP) + (cell - thumbnail.width) // 2
        top = row * (cell + GRID_GAP) + (cell - thumbnail.height) // 2
        canvas.paste(thumbnail, (left, top))
    return canvas
