"""95 % intervals for an accuracy, and for the difference of two accuracies on the same images."""

from __future__ import annotations

import math

from latte.interfaces import Interval

_Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def accuracy_interval(correct: int, images: int) -> Interval:
    """The share `correct / images` with its Wilson score interval.

    Wilson (1927), Journal of the American Statistical Association 22:209-212. It stays within
    [0, 1] and does not collapse when all or none are right.
    """
    share = correct / images
    scale = 1 + _Z**2 / images
    centre = (share + _Z**2 / (2 * images)) / scale
    reach = _Z / scale * math.sqrt(share * (1 - share) / images + _Z**2 / (4 * images**2))
    return Interval(
        share, max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach))
    )


def paired_gain_interval(won: int, lost: int, images: int) -> Interval:
    """Accuracy gained over a baseline on the same images: `(won - lost) / images`.

    The adjusted Wald interval of Bonett and Price (2012), Journal of Educational and Behavioral
    Statistics 37:479-488, which adds one image to `won` and one to `lost`: with few images or few
    changed answers it covers the truth more reliably than a plain normal approximation, and needs
    no resampling. Where no answer changed there is nothing to estimate, and the interval is [0, 0].

    Args:
        won: images that the baseline has wrong and the classifier right.
        lost: images that the baseline has right and the classifier wrong.
        images: all images, changed or not.
    """
    value = (won - lost) / images
    if won == lost == 0:
        return Interval(0.0, 0.0, 0.0)
    gained, given = (won + 1) / (images + 2), (lost + 1) / (images + 2)
    centre = gained - given
    reach = _Z * math.sqrt((gained + given - centre**2) / (images + 2))
    return Interval(value, max(-1.0, centre - reach), min(1.0, centre + reach))
