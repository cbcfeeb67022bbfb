"""A map of a run's photos: photos that look alike lie close together."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latte.review.revisions import Revision

DOUBTFUL = 0.5
"""Confidence below which a label is doubtful."""
_LARGEST = 65_535
_RECORD = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("label", "<u2"), ("flags", "u1"), ("nothing", "u1")]
)
_IS_DOUBTFUL, _IS_ANSWERED = 1, 2


def rough_positions(features: Tensor) -> NDArray[np.uint16]:
    """Return positions (N, 2) of unit features (N, D): their two principal components.

    They fill the square from 0 to 65,535. The result does not depend on labels or answers.
    """
    centred = (features - features.mean(dim=0)).double()
    _, directions = torch.linalg.eigh(centred.T @ centred)
    plane = directions[:, -2:].flip(1)
    # The sign of an eigenvector has no meaning, so the largest part of each is made positive.
    signs = plane.gather(0, plane.abs().argmax(dim=0, keepdim=True)).sign()
    places = centred @ (plane * signs)
    low, high = places.amin(dim=0), places.amax(dim=0)
    shares = (places - low) / (high - low).clamp_min(1e-12)
    return np.asarray((shares * _LARGEST).round().numpy(), dtype=np.uint16)


def map_bytes(
    positions: NDArray[np.uint16], revision: Revision, answered: Collection[int]
) -> bytes:
    """Return 8 bytes per photo: x, y, label, and whether it is doubtful (1) or answered (2).

    `answered` are the indices of the photos with an answer.
    """
    records = np.zeros(len(positions), dtype=_RECORD)
    records["x"], records["y"] = positions[:, 0], positions[:, 1]
    records["label"] = revision.labels
    records["flags"] = (np.asarray(revision.confidences) < DOUBTFUL) * _IS_DOUBTFUL
    records["flags"][[*answered]] = _IS_ANSWERED
    return records.tobytes()
