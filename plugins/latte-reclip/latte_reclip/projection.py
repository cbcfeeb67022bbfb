"""Features without the direction that all class texts share (ReCLIP, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def class_directions(class_features: Tensor, cut_dim: int) -> Tensor:
    """Return an orthonormal basis (D, R) of the directions in which the class texts (C, D) differ.

    These are the left singular vectors of the class texts without the first one, which all texts
    share, and without those after the first `cut_dim`. R = min(D, C, cut_dim) - 1.
    """
    left: Tensor = torch.linalg.svd(class_features.T, full_matrices=False).U
    return left[:, 1:cut_dim]


def project(features: Tensor, directions: Tensor) -> Tensor:
    """Return the coordinates (N, R) of features (N, D) in an orthonormal basis (D, R).

    The results have the same lengths and angles as `features @ directions @ directions.T`, at lower
    cost. If the basis is empty (a single class), the features are returned unchanged.
    """
    return features @ directions if directions.shape[1] else features
