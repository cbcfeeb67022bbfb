"""How far the best class leads the second, relative to classes that have nothing to do with it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BLOCK_NUMBERS = 2**22
"""Entries of an (images, classes) block that is held at once, in double precision."""


def lead_over_chance(image_features: Tensor, class_features: Tensor) -> float:
    """Return how far the best class leads, relative to independent normal similarities.

    Similarities of images (N, D) with class texts (C, D) are centred over the images, class by
    class, which takes away that some texts are near to every image. About 1: the texts point where
    they happen to; 2 and more: they single out classes. Neither the scale of the similarities nor
    the number of classes changes what 1 means. NaN with fewer than two classes or images, or where
    all similarities of each image are equal.

    Example:
        >>> round(lead_over_chance(torch.eye(4), torch.eye(4)), 1)
        3.4
    """
    images, classes = len(image_features), len(class_features)
    if images < 2 or classes < 2:
        return math.nan
    texts, middle = class_features.double(), image_features.double().mean(dim=0)
    lead = variance = 0.0
    for block in torch.split(image_features, max(1, _BLOCK_NUMBERS // classes)):
        centred = (block.double() - middle) @ texts.T
        best = centred.topk(2, dim=1).values
        lead += float((best[:, 0] - best[:, 1]).sum()) / images
        variance += float(centred.var(dim=1).sum()) / images
    return lead / math.sqrt(variance) / expected_lead(classes) if variance > 0 else math.nan


def expected_lead(classes: int) -> float:
    """Expected distance of the two largest of `classes` independent standard normal variables.

    C times the integral of F(x)^(C-1) (1 - F(x)), as for the spacing of any order statistics
    (David and Nagaraja 2003, Order Statistics, section 3.1), by the trapezoidal rule.
    """
    x = torch.linspace(-10, 10, 20001, dtype=torch.float64)
    below = torch.special.ndtr(x)
    return float(torch.trapezoid(classes * below ** (classes - 1) * (1 - below), x))
