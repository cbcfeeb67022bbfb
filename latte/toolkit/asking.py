"""Order of asking a person about images: the answer that covers most doubt first.

An answer about an image also says something about similar images, the more so the nearer they are.
It is worth most where labels are doubtful, and where no similar image has an answer yet. The next
image is the one whose answer covers most doubt that earlier answers leave uncovered. This greedily
maximises a weighted coverage, as in Yehuda, Dekel, Hacohen, Weinshall: Active Learning Through a
Covering Lens (NeurIPS 2022). Its nearest kin is Uncertainty Herding (Bae, Oliveira, Sutherland,
ICLR 2025), which covers uncertainty by a Gaussian kernel whose width falls as answers grow. Before
the first answer, nobody knows what confidence is worth, and all labels are equally doubtful. So the
first images are the centres of the largest groups of similar images, and the next ones those of
groups with doubtful labels. Images are compared by their directions from the mean of all images: an
image near that mean is similar to images of many classes, and would come first. The constants of
the order were chosen on eight labelled sets; `python -m benchmarks orders` compares it with others,
and chose those of the gain (docs/field.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latte.toolkit.encoder_agreement import centred_directions
from latte.toolkit.neighbours import nearest_neighbours

_REACH = 50
"""Number of nearest images about which an answer says something."""
_LEAST_DOUBT, _DIFFERENCE = 0.1, 0.5
"""Doubt about an image of confidence 1; further doubt if its zero-shot label is another class. The
further doubt only changes the order."""
_ANSWERS, _LEAST_GAIN = 10, 0.01
"""The next ten answers are worth asking for if they change a hundredth of the labels, or more."""
_RIGHT_AT_FIRST, _FALL, _RIGHT_AT_LAST = 1.75, 0.015, 0.75
"""Number of labels that became right per wrong one that an answer covers: at the first answer, how
much less with each answer, and in the end."""


@dataclass(frozen=True)
class AskingOrder:
    """Images to ask about next, and the expected gain of each answer.

    Example:
        >>> import torch
        >>> from latte.api import AskingOrder
        >>> AskingOrder(torch.tensor([3, 1]), torch.tensor([0.05, 0.02])).is_worth_asking
        True
    """

    rows: Tensor
    """(Q,) int64: indices of the images, in the order of asking."""
    gains: Tensor
    """(Q,): expected share of all labels that each answer puts right: the probabilities of wrong
    labels that the answer covers, times 1.75 at the first answer and 0.015 less with each further
    one, but at least 0.75, divided by the number of images."""

    @property
    def is_worth_asking(self) -> bool:
        """True if the first ten answers are expected to change accuracy by a point or more."""
        return float(self.gains[:_ANSWERS].sum()) >= _LEAST_GAIN


def asking_order(
    features: Tensor, confidence: Tensor, differs: Tensor, answered: Tensor, count: int
) -> AskingOrder:
    """Return the next images to ask about: those whose answers cover most doubt come first.

    Without an answer so far, all labels are equally doubtful.

    Args:
        features: unit features (N, D) of all images.
        confidence: (N,) probability of each image's label.
        differs: bool (N,), True where the zero-shot label is another class.
        answered: bool (N,), True for images that have an answer.
        count: number of images to ask about; at most those without an answer are returned.

    Example:
        >>> import torch
        >>> from latte.api import asking_order
        >>> features = torch.tensor([[0.96, 0.28], [1.0, 0.0], [0.96, -0.28], [0.0, 1.0]])
        >>> nothing = torch.zeros(4, dtype=torch.bool)
        >>> asking_order(features, torch.full((4,), 0.5), nothing, nothing, 2).rows.tolist()
        [1, 3]
    """
    wrong = 1 + _LEAST_DOUBT - confidence
    doubt = wrong + _DIFFERENCE * differs.to(wrong)
    if not bool(answered.any()):
        doubt = torch.ones_like(wrong)
    cosines, near = nearest_neighbours(centred_directions(features), _REACH)
    # The part of an answer that holds for each neighbour (N, k).
    reach = cosines.clamp_min(0).square().to(doubt)
    is_open = ~answered
    covered = answered.to(doubt)
    for row in answered.nonzero().flatten().tolist():
        _cover(covered, row, near, reach)
    answers = int(answered.sum())
    rows: list[int] = []
    gains: list[float] = []
    for _ in range(min(count, int(is_open.sum()))):
        added = doubt * (1 - covered)
        added += (doubt[near] * (reach - covered[near]).clamp_min(0)).sum(dim=1)
        row = int(added.masked_fill(~is_open, -1).argmax())
        righted = max(_RIGHT_AT_LAST, _RIGHT_AT_FIRST - _FALL * (answers + len(rows)))
        rows.append(row)
        is_open[row] = False
        covered_before = float(wrong @ covered)
        _cover(covered, row, near, reach)
        gains.append(righted * (float(wrong @ covered) - covered_before) / len(wrong))
    device = features.device
    return AskingOrder(
        torch.tensor(rows, dtype=torch.int64, device=device), doubt.new_tensor(gains)
    )


def _cover(covered: Tensor, row: int, near: Tensor, reach: Tensor) -> None:
    """Update how well answers cover each image (N,) after an answer about the image `row`."""
    covered[near[row]] = torch.maximum(covered[near[row]], reach[row])
    covered[row] = 1
