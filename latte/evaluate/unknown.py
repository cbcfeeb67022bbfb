"""Images that show none of the classes, as far as a classifier can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from latte.evaluate.predictions import ClassScore, Prediction

NONE_OF_THEM = "none of them"
"""What stands in place of a class."""
NO_LABEL = -1


def with_unknown(rows: Iterable[Prediction], below: float) -> Iterator[Prediction]:
    """Put `NONE_OF_THEM` first where the best class scores less than `below`.

    It gets the score that fell short; the classes follow, one fewer, so that rows stay as long.
    The best softmax probability is the usual score of an open set (Hendrycks and Gimpel 2017).
    """
    for row in rows:
        best = row.classes[0]
        if best.score >= below:
            yield row
        else:
            none = ClassScore(NONE_OF_THEM, best.score, NO_LABEL)
            yield replace(row, classes=(none, *row.classes)[: len(row.classes)])


def separation(known: Tensor, unknown: Tensor) -> float:
    """How often one of the scores `known` (A,) is above one of `unknown` (B,); ties count half.

    The area under the receiver operating characteristic (AUROC): 0.5 is chance, 1 is perfect.
    """
    order = unknown.sort().values
    below = torch.searchsorted(order, known, right=False)
    up_to = torch.searchsorted(order, known, right=True)
    return float((below + up_to).double().mean()) / 2 / len(unknown)
