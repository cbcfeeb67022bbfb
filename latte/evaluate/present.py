"""Which of the named classes occur among unlabelled images, from what a classifier says of each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SUPPORT = 0.5
"""Expected images below which a class is unsupported: it is likelier to have none than one."""
_Z = 1.959963984540054
"""Of a 95 % interval."""


@dataclass(frozen=True)
class PresentClasses:
    """An estimate of how many of C classes occur, and which have no image to show for it."""

    expected: float
    """Expected number of classes with at least one image."""
    interval: tuple[float, float]
    """95 %, between 0 and C."""
    counts: Tensor
    """(C,) float64: expected images of each class."""
    present: Tensor
    """(C,) float64: probability that a class has at least one image."""
    unsupported: tuple[int, ...]
    """Classes with fewer than 0.5 expected images, ascending."""


def present_classes(
    probabilities: Tensor, labels: Tensor | None = None, *, classes: int | None = None
) -> PresentClasses:
    """Estimate which classes occur among N images, each of one class, independent of each other.

    A class occurs with probability 1 - prod_i (1 - p_ic). The number that occur is taken as a sum
    of independent events (Poisson binomial): its mean is the sum of these probabilities r_c, its
    variance the sum of r_c (1 - r_c), and the interval is the normal one. Images that show no class
    and probabilities that are too sure make it too large or too narrow: calibrate them first.

    Args:
        probabilities: (N, C) of all classes; or with `labels` (N, K) of K of them. What K leave out
            counts for no class, so that few K make the estimate smaller.
        labels: (N, K) int64, the classes that `probabilities` are about.
        classes: C; needed with `labels`, else the width of `probabilities`.

    Raises:
        ValueError: for shapes that do not go together, labels that are no class, and numbers that
            are no probabilities.
    """
    count = _class_count(probabilities, labels, classes)
    counts = torch.zeros(count, dtype=torch.float64)
    log_absent = torch.zeros(count, dtype=torch.float64)
    for column in range(probabilities.shape[1]):
        values = probabilities[:, column].double()
        if labels is None:
            counts[column] = values.sum()
            log_absent[column] = torch.log1p(-values).sum()
        else:
            counts.index_add_(0, labels[:, column], values)
            log_absent.index_add_(0, labels[:, column], torch.log1p(-values))
    present = -torch.expm1(log_absent)
    expected = float(present.sum())
    margin = _Z * float((present * (1 - present)).sum()) ** 0.5
    interval = (max(0.0, expected - margin), min(float(count), expected + margin))
    unsupported = (counts < _SUPPORT).nonzero().flatten().tolist()
    return PresentClasses(expected, interval, counts, present, tuple(unsupported))


def _class_count(probabilities: Tensor, labels: Tensor | None, classes: int | None) -> int:
    """C. Raises `ValueError`, see `present_classes`."""
    if probabilities.ndim != 2:
        raise ValueError("probabilities must be a matrix (N, C) or (N, K)")
    if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise ValueError("a probability is not between 0 and 1")
    if labels is None:
        if classes not in (None, probabilities.shape[1]):
            raise ValueError(f"{probabilities.shape[1]} columns are not {classes} classes")
        return probabilities.shape[1]
    if classes is None or labels.shape != probabilities.shape:
        raise ValueError("labels need `classes`, and the shape of the probabilities")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"a label is none of {classes} classes")
    return classes
