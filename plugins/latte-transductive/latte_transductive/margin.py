"""Margin of the best class over the second, relative to the margin of unrelated class names."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BLOCK_NUMBERS = 2**22
"""Entries of an (images, classes) block in double precision, which bounds the memory."""


def relative_margin(image_features: Tensor, class_features: Tensor) -> float:
    """Return the mean margin in units of its value for independent normal similarities.

    The margin of an image is the difference of its two largest similarities. Similarities of images
    (N, D) with class texts (C, D) are first centred over the images, per class, as some texts are
    similar to every image. The mean margin is divided by the standard deviation of an image's
    similarities and by `expected_margin(C)`. About 1: the names are unrelated to the images; 2 and
    more: the names separate classes. Neither the scale of the similarities nor the number of
    classes changes this. NaN with fewer than two classes or images, or if all similarities of each
    image are equal.

    Example:
        >>> round(relative_margin(torch.eye(4), torch.eye(4)), 1)
        3.4
    """
    images, classes = len(image_features), len(class_features)
    if images < 2 or classes < 2:
        return math.nan
    texts, middle = class_features.double(), image_features.double().mean(dim=0)
    margin = variance = 0.0
    for block in torch.split(image_features, max(1, _BLOCK_NUMBERS // classes)):
        centred = (block.double() - middle) @ texts.T
        best = centred.topk(2, dim=1).values
        margin += float((best[:, 0] - best[:, 1]).sum()) / images
        variance += float(centred.var(dim=1).sum()) / images
    return margin / math.sqrt(variance) / expected_margin(classes) if variance > 0 else math.nan


def expected_margin(classes: int) -> float:
    """Expected distance of the two largest of `classes` independent standard normal variables.

    C times the integral of F(x)^(C-1) (1 - F(x)), as for the spacing of any order statistics
    (David and Nagaraja 2003, Order Statistics, section 3.1), by the trapezoidal rule.
    """
    x = torch.linspace(-10, 10, 20001, dtype=torch.float64)
    below = torch.special.ndtr(x)
    return float(torch.trapezoid(classes * below ** (classes - 1) * (1 - below), x))
