"""Accuracy of a classifier on the evaluation split, with 95 % intervals."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latte.evaluate.similarities import Similarities, in_blocks
from latte.interfaces import ClassAccuracy, Evaluation, Interval, LatteError

_Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def label_ranks(name: str, similarities: Tensor | Similarities, labels: Tensor) -> Tensor:
    """Return, for M images, the number (M,) of classes ranked above the true class.

    The result is int64, on the CPU. If two classes are equally similar, the first ranks higher.
    `similarities` (M, C) may have any positive scale. Raises `LatteError` with the name of the
    classifier if there are no images, a similarity is not finite, or a label is not a class.
    """
    similarity_blocks = in_blocks(similarities)
    labels = labels.cpu()
    if similarity_blocks.images != len(labels):
        raise ValueError(f"{similarity_blocks.images} rows of similarities, {len(labels)} labels")
    if not len(labels):
        raise LatteError(f"{name} cannot be evaluated: there are no labelled images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= similarity_blocks.classes:
        classes = f"but there are {similarity_blocks.classes} classes"
        raise LatteError(f"{name}: labels go from {low} to {high}, {classes}")
    ranks, broken_rows, start = torch.empty_like(labels), 0, 0
    for block in similarity_blocks:
        rows = slice(start, start + len(block))
        ranks[rows] = _ranks(block.detach().cpu(), labels[rows])
        broken_rows += int((~block.isfinite()).any(dim=1).sum())
        start += len(block)
    if broken_rows:
        raise LatteError(
            f"{name}: the similarities of {broken_rows} of {similarity_blocks.images} images are "
            "not finite numbers",
            hint="if this is a trained model, training diverged: lower the learning rate",
        )
    return ranks


def evaluate_ranks(
    ranks: Tensor, labels: Tensor, number_of_classes: int, baseline: Tensor | None
) -> Evaluation:
    """Return the accuracies of one classifier, and its gain over the zero-shot classifier.

    `ranks` (M,) come from `label_ranks`. `baseline` (M,) is True where the zero-shot classifier is
    right; if it is None, no gain is computed.
    """
    is_correct, gain = ranks == 0, None
    if baseline is not None:
        baseline = baseline.cpu()
        won, lost = int((is_correct & ~baseline).sum()), int((~is_correct & baseline).sum())
        gain = paired_gain_interval(won, lost, len(is_correct))
    images = torch.bincount(labels.cpu(), minlength=number_of_classes).tolist()
    correct_counts = torch.bincount(labels.cpu()[is_correct], minlength=number_of_classes).tolist()
    classes = tuple(ClassAccuracy(*counts) for counts in zip(correct_counts, images, strict=True))
    shares = [accuracy.correct / accuracy.images for accuracy in classes if accuracy.images]
    return Evaluation(
        images=len(labels),
        top1=accuracy_interval(int(is_correct.sum()), len(labels)),
        top5=(ranks < 5).double().mean().item(),
        mean_per_class=sum(shares) / len(shares),
        classes=classes,
        gain=gain,
    )


def _ranks(similarities: Tensor, labels: Tensor) -> Tensor:
    label_similarity = similarities.gather(1, labels[:, None])
    is_earlier_class = torch.arange(similarities.shape[1]) < labels[:, None]
    is_earlier_tie = (similarities == label_similarity) & is_earlier_class
    return ((similarities > label_similarity) | is_earlier_tie).sum(dim=1)


def accuracy_interval(correct: float, images: int) -> Interval:
    """Return the accuracy `correct / images` with its Wilson score interval.

    Images that belong together, such as those of a burst, count as one image: `correct` is then the
    sum, over these sets, of the share that is right.

    Wilson (1927), Journal of the American Statistical Association 22:209-212.

    Example:
        >>> from latte.api import accuracy_interval
        >>> f"{accuracy_interval(90, 100).low:.2f}"
        '0.83'
    """
    share = correct / images
    scale = 1 + _Z**2 / images
    centre = (share + _Z**2 / (2 * images)) / scale
    half_width = _Z / scale * math.sqrt(share * (1 - share) / images + _Z**2 / (4 * images**2))
    return Interval(
        share, max(0.0, min(share, centre - half_width)), min(1.0, max(share, centre + half_width))
    )


def paired_gain_interval(won: int, lost: int, images: int) -> Interval:
    """Return the gain in accuracy over a baseline on the same images: `(won - lost) / images`.

    `won` is the number of images that only the classifier gets right, `lost` the number that only
    the baseline gets right. The interval is the adjusted Wald interval of Bonett and Price (2012),
    Journal of Educational and Behavioral Statistics 37:479-488, which adds one image to `won` and
    one to `lost`. If `won` and `lost` are 0, the interval is [0, 0].
    """
    gain = (won - lost) / images
    if won == lost == 0:
        return Interval(0.0, 0.0, 0.0)
    won_share, lost_share = (won + 1) / (images + 2), (lost + 1) / (images + 2)
    centre = won_share - lost_share
    half_width = _Z * math.sqrt((won_share + lost_share - centre**2) / (images + 2))
    return Interval(gain, max(-1.0, centre - half_width), min(1.0, centre + half_width))
