"""Area under the ROC curve (AUROC)."""

from __future__ import annotations

import torch
from torch import Tensor


def separation(known_scores: Tensor, unknown_scores: Tensor) -> float:
    """Return the area under the ROC curve (AUROC): 0.5 is chance, 1 is perfect.

    It is the share of all A * B pairs in which the score from `known_scores` (A,) is above the
    score from `unknown_scores` (B,); ties count half.
    """
    order = unknown_scores.sort().values
    below = torch.searchsorted(order, known_scores, right=False)
    up_to = torch.searchsorted(order, known_scores, right=True)
    return float((below + up_to).double().mean()) / 2 / len(unknown_scores)
