"""Features of many images, drawn at random or with the statistics of labelled sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from latte_benchmarks.feature_files import read_feature_file
from latte_benchmarks.folder_cells import no_names
from torch import Tensor
from torch.nn.functional import normalize

_SHARE = 0.8
"""Share of the first class in a class that is mixed of two classes of the sets."""
_BLOCK = 2**16


@dataclass(frozen=True)
class DrawnFeatures:
    """Unit features of N images and C class texts."""

    images: Tensor
    """(N, D): features of the images."""
    texts: Tensor
    """(C, D): features of the class texts."""
    labels: Tensor
    """(N,): true classes."""
    logit_scale: float


def drawn_features(files: Sequence[Path], width: int, images: int, classes: int) -> DrawnFeatures:
    """Draw features of `images` images of `classes` classes from files of labelled features.

    The first classes are those of the files. Further ones are mixed of two classes each, as far as
    their means and texts are concerned. An image is the mean of its class plus two differences
    between images of a class and its mean, with random weights whose squares sum to 1: so images
    have the covariance that the class has in the files.
    """
    sets = [read_feature_file(path, no_names, width) for path in files]
    texts = torch.cat([labelled.texts for labelled in sets])
    offsets = torch.tensor([0, *(len(labelled.texts) for labelled in sets)]).cumsum(0).tolist()
    features = torch.cat(
        [part.features for labelled in sets for part in (labelled.train, labelled.test)]
    )
    labels = torch.cat(
        [
            part.labels + offset
            for offset, labelled in zip(offsets, sets, strict=False)
            for part in (labelled.train, labelled.test)
        ]
    )
    features, generator = normalize(features, dim=1), torch.Generator().manual_seed(0)
    counts = labels.bincount(minlength=len(texts))
    means = torch.zeros_like(texts).index_add_(0, labels, features) / counts.unsqueeze(1)
    order = labels.argsort(stable=True)
    differences, starts = (features - means[labels])[order], counts.cumsum(0) - counts
    first_class = torch.arange(classes) % len(texts)
    second_class = torch.randint(len(texts), (classes,), generator=generator)
    is_mixed = (torch.arange(classes) >= len(texts)).unsqueeze(1)
    share = torch.where(is_mixed, _SHARE, 1.0)

    def mixed(rows: Tensor) -> Tensor:
        centred = rows - rows.mean(dim=0)
        other_share = (1 - share.square()).sqrt()
        return rows.mean(dim=0) + share * centred[first_class] + other_share * centred[second_class]

    class_means = mixed(means)
    true = torch.randint(classes, (images,), generator=generator)
    drawn = torch.empty(images, width)
    for start in range(0, images, _BLOCK):
        block = true[start : start + _BLOCK]
        source = first_class[block]
        angles = torch.rand(len(block), 1, generator=generator) * math.pi / 2
        rows = [
            starts[source] + (torch.rand(len(block), generator=generator) * counts[source]).long()
            for _ in range(2)
        ]
        noise = angles.cos() * differences[rows[0]] + angles.sin() * differences[rows[1]]
        drawn[start : start + _BLOCK] = normalize(class_means[block] + noise, dim=1)
    return DrawnFeatures(drawn, normalize(mixed(texts), dim=1), true, sets[0].logit_scale)


def random_features(width: int, images: int, classes: int) -> DrawnFeatures:
    """Return random texts, and images around points near the texts."""
    generator = torch.Generator().manual_seed(0)
    texts = normalize(torch.randn(classes, width, generator=generator), dim=1)
    points = texts + 3 * width**-0.5 * torch.randn(texts.shape, generator=generator)
    labels = torch.arange(images) % classes
    noise = torch.randn(images, width, generator=generator).mul_(2 * width**-0.5)
    features = normalize(noise.add_(normalize(points, dim=1)[labels]), dim=1)
    return DrawnFeatures(features, texts, labels, 50.0)
