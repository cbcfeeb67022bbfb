"""Margin of the best class over the second, relative to the margin of unrelated class names."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latte.api import Progress, long_task

_BLOCK_NUMBERS = 2**22
"""Largest number of entries of an (images, classes) block, which bounds the memory."""


def relative_margin(
    image_features: Tensor, class_features: Tensor, *, progress: Progress | None = None
) -> float:
    """Return the mean margin of the best class, relative to the margin of unrelated names.

    The margin of an image is the difference of its two largest similarities. Similarities of images
    (N, D) with class texts (C, D) are first centred per class over the images, as some texts are
    similar to every image. The mean margin is divided by the standard deviation of an image's
    similarities and by `expected_margin(C)`. A result of about 1 means that the names are unrelated
    to the images; 2 and more, that the names separate classes. The result does not depend on the
    scale of the similarities or on the number of classes. It is NaN with fewer than two classes or
    images, or if all similarities of each image are equal.

    Example:
        >>> round(relative_margin(torch.eye(4), torch.eye(4)), 1)
        2.7
    """
    images, classes = len(image_features), len(class_features)
    if images < 2 or classes < 2:
        return math.nan
    texts, middle = class_features.double(), image_features.double().mean(dim=0)
    margin = variance = 0.0
    with long_task(progress, "judge class names", images, "images") as task:
        for block in torch.split(image_features, max(1, _BLOCK_NUMBERS // classes)):
            centred = (block.double() - middle) @ texts.T
            best = centred.topk(2, dim=1).values
            margin += float((best[:, 0] - best[:, 1]).sum()) / images
            variance += float(centred.var(dim=1).sum()) / images
            task.advance(len(block))
    return margin / math.sqrt(variance) / expected_margin(classes) if variance > 0 else math.nan


def expected_margin(classes: int) -> float:
    """Return the expected difference of the two largest of C independent standard normal variables.

    The trapezoidal rule integrates C F(x)^(C-1) (1 - F(x)), the formula for the spacing of order
    statistics (David and Nagaraja 2003, Order Statistics, section 3.1). C is `classes`.
    """
    x = torch.linspace(-10, 10, 20001, dtype=torch.float64)
    below = torch.special.ndtr(x)
    return float(torch.trapezoid(classes * below ** (classes - 1) * (1 - below), x))
