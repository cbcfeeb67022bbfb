"""`evaluation.json` as it is read back, without torch."""

from __future__ import annotations

import math

from latte.interfaces import Evaluation
from latte.results.folder import RunFolder
from latte.results.stored import explained, read_stored


def read_evaluations(folder: RunFolder) -> list[Evaluation]:
    """What stage `evaluate` measured. Raises `LatteError` for a damaged file."""
    found = read_stored(folder.evaluation, list[Evaluation])
    with explained(folder.evaluation):
        for one in found:
            _check_evaluation(one)
    return found


def _check_evaluation(found: Evaluation) -> None:
    """Raise `ValueError` for numbers that no evaluation has."""
    right = [one.correct <= one.images and one.correct >= 0 for one in found.classes]
    total = sum(one.images for one in found.classes)
    shares = [found.top5, found.mean_per_class]
    for interval in filter(None, (found.top1, found.gain)):
        shares += [interval.value, interval.low, interval.high]
    if not all(right) or total != found.images:
        raise ValueError(f"{found.name}: its counts do not add up")
    if not all(math.isfinite(share) and abs(share) <= 1 + 1e-9 for share in shares):
        raise ValueError(f"{found.name}: a share is not between 0 and 1")
