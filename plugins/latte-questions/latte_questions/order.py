"""Which single images the labeler `choices` asks about next."""

from __future__ import annotations

import torch
from torch import Tensor

from latte_questions.neighbours import neighbours_of

_NEIGHBOURS = 10


def choose_images(
    images: Tensor, posteriors: Tensor, zero_shot: Tensor, is_asked: Tensor, count: int
) -> Tensor:
    """Return up to `count` images (K,) to ask about next, the most useful first.

    An image is more useful if its two most probable classes have close probabilities, and if its
    zero-shot label is not its most probable class. The usefulness is multiplied by the similarity
    of the image to its neighbours. Each image that was asked about, or is chosen, halves the
    usefulness of its neighbours. Each chosen image also reduces the usefulness of the images of its
    class by 30 %.
    """
    labels, best = posteriors.argmax(dim=1), posteriors.topk(2, dim=1).values
    usefulness = 1.1 - (best[:, 0] - best[:, 1]) + 0.5 * (labels != zero_shot)
    neighbours = neighbours_of(images, _NEIGHBOURS)
    if neighbours is not None:
        graph, ones = neighbours.graph, torch.ones_like(usefulness)
        usefulness = usefulness * (graph @ ones)
        usefulness = usefulness * 0.5 ** is_asked[neighbours.indices].sum(dim=1)
    usefulness[is_asked] = -1
    rows: list[int] = []
    while len(rows) < count and float(usefulness.max()) > 0:
        row = int(usefulness.argmax())
        rows.append(row)
        usefulness[labels == labels[row]] *= 0.7
        if neighbours is not None:
            usefulness[neighbours.indices[row]] *= 0.5
        usefulness[row] = -1
    return torch.tensor(rows, dtype=torch.int64, device=images.device)
