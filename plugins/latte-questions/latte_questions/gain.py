"""Estimate, without labels, the gain in accuracy from a describer's answers."""

from __future__ import annotations

from torch import Tensor

from latte.api import ExpectedGain

# `python -m benchmarks questions --gains` prints these constants, and how well constants of other
# sets of images predict the gains on each set; docs/questions.md has the whole command.
SHARE = 0.56
"""Mean gain, as a share of the mean raw gain."""
LOWEST = 0.0
"""5 % quantile of the ratio of gain and raw gain, over simulated runs."""
HIGHEST = 0.90
"""95 % quantile of this ratio."""
LARGEST_SHARE = 0.2
"""Largest share of images that questions were about; with more, the raw gain is too small."""


def raw_gain(start: Tensor, fitted: Tensor) -> float:
    """Return the gain in accuracy if the probabilities `fitted` (N, C) were right.

    An image whose label changes from `start` (N, C) gains the probability of its new label minus
    the probability of its old label, both in `fitted`. These probabilities are from a Gaussian
    mixture fitted with the answers, and too confident: an answer about a cluster counts for all of
    its images, including images of other classes.
    """
    old, new = (probabilities.argmax(dim=1, keepdim=True) for probabilities in (start, fitted))
    return float((fitted.gather(1, new) - fitted.gather(1, old)).double().mean())


def calibrated(raw: float) -> ExpectedGain:
    """Convert the overconfident gain `raw` to the expected gain and its 90 % interval."""
    return ExpectedGain(SHARE * raw, LOWEST * raw, min(1.0, HIGHEST * raw))
