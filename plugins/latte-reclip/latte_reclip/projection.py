"""Features without the direction that all class texts share (ReCLIP, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def class_directions(class_features: Tensor, cut_dim: int) -> Tensor:
    """Return an orthonormal basis (D, R) that separates classes (C, D), R = min(D, C, cut_dim) - 1.

    The first left singular vector of the class texts is common to all of them and is removed, as
    are all vectors after the first `cut_dim`.
    """
    left: Tensor = torch.linalg.svd(class_features.T, full_matrices=False).U
    return left[:, 1:cut_dim]


def project(features: Tensor, directions: Tensor) -> Tensor:
    """Project features (N, D) to coordinates (N, R) in an orthonormal basis (D, R).

    Lengths and angles equal those of `features @ directions @ directions.T`, at lower cost. An
    empty basis (a single class) leaves the features as they are.
    """
    return features @ directions if directions.shape[1] else features
