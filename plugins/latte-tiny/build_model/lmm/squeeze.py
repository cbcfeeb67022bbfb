"""Low-rank approximation of the ImageNet head, with a rank that fits the language model.

The approximation has two factors: a projection of image tokens, and an embedding of each class.
Products of projected tokens and class embeddings are close to the head's logits. The language model
starts with these two factors, because with random weights it would hardly learn to use the image in
a short training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

RIDGE = 1e-3
RATE = 0.02
MIXED, MOST = 0.7, 0.6
"""Share of pictures that are mixed with another picture, and the largest weight of that other
picture."""


@dataclass(frozen=True)
class Group:
    """Pictures of one kind: their features (N, 1280), and their number per batch.

    `people` (N,) are the probabilities that the pictures show people.
    """

    pooled: Tensor
    people: Tensor
    size: int


@dataclass(frozen=True)
class Squeezed:
    """Logits of pooled features x (N, 1280): (x - center) @ projection.T @ classes.T + bias.

    Shapes: `classes` (C, R), `bias` (C,), `projection` (R, 1280), `center` (1280,). The projected
    features of the training photos have unit variance in each direction.
    """

    classes: Tensor
    bias: Tensor
    projection: Tensor
    center: Tensor

    def logits(self, pooled: Tensor) -> Tensor:
        """Return logits (N, C) of pooled features (N, 1280)."""
        return (pooled - self.center) @ self.projection.T @ self.classes.T + self.bias


def squeeze(
    groups: Sequence[Group],
    head: tuple[Tensor, Tensor],
    *,
    rank: int,
    steps: int = 1200,
) -> Squeezed:
    """Return the head of rank `rank` that best approximates `head` on pictures and their blends.

    The result centres features on the mean of the first group. Its projection gives the features of
    the first group unit variance.
    """
    first = _least_squares(torch.cat([group.pooled for group in groups]), groups[0], head, rank)
    parts = [
        part.clone().requires_grad_() for part in (first.classes, first.bias, first.projection)
    ]
    classes, bias, projection = parts
    rates = (RATE * float(first.classes.std()), RATE / 2, RATE * float(first.projection.std()))
    optimizer = torch.optim.Adam(
        [{"params": [part], "lr": rate} for part, rate in zip(parts, rates, strict=True)]
    )
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / steps))
    for _ in range(steps):
        pooled, people = _mixtures(groups)
        says = ((pooled - first.center) @ projection.T) @ classes.T + bias
        wanted = with_people((pooled @ head[0].T + head[1]).softmax(-1), people)
        loss = F.kl_div(says.log_softmax(-1), wanted, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    found = Squeezed(classes.detach(), bias.detach(), projection.detach(), first.center)
    return _unit_variance(found, groups[0].pooled)


def with_people(opinions: Tensor, shares: Tensor) -> Tensor:
    """Return class probabilities (N, 1001), in which the last class is people.

    `shares` (N,) are the probabilities of people; `opinions` (N, 1000) are scaled by 1 - `shares`.
    """
    return torch.cat([opinions * (1 - shares[:, None]), shares[:, None]], 1)


def _mixtures(groups: Sequence[Group]) -> tuple[Tensor, Tensor]:
    """Draw a batch; return its features, and the probabilities that its pictures show people.

    Most samples are blends of two pictures.
    """
    drawn = [torch.randint(len(group.pooled), (group.size,)) for group in groups]
    pooled = torch.cat([group.pooled[rows] for group, rows in zip(groups, drawn, strict=True)])
    people = torch.cat([group.people[rows] for group, rows in zip(groups, drawn, strict=True)])
    share = MOST * torch.rand(len(pooled)) * (torch.rand(len(pooled)) < MIXED)
    other = torch.randperm(len(pooled))
    mixed = torch.lerp(pooled, pooled[other], share[:, None])
    return mixed, torch.lerp(people, people[other], share)


def _least_squares(
    pooled: Tensor, common: Group, head: tuple[Tensor, Tensor], rank: int
) -> Squeezed:
    """Return the initial head: the least-squares fit of rank `rank` to the logits of `head`."""
    weight, bias = _with_a_row(head)
    center = common.pooled.mean(0)
    centred = pooled - center
    covariance = centred.T @ centred / len(centred) + RIDGE * torch.eye(centred.shape[1])
    root = torch.linalg.cholesky(covariance.double()).float()
    left, sizes, right = torch.linalg.svd((weight - weight.mean(0)) @ root, full_matrices=False)
    projection = torch.linalg.solve_triangular(root.T, right[:rank].T, upper=True).T
    start = weight @ center + bias
    return Squeezed(left[:, :rank] * sizes[:rank], start - start.mean(), projection, center)


def _with_a_row(head: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the head with an additional class, initialised with the mean of all classes."""
    weight, bias = head
    return torch.cat([weight, weight.mean(0)[None]]), torch.cat([bias, bias.mean()[None]])


def _unit_variance(squeezed: Squeezed, pooled: Tensor) -> Squeezed:
    deviation = ((pooled - squeezed.center) @ squeezed.projection.T).std(0)
    return Squeezed(
        squeezed.classes * deviation,
        squeezed.bias,
        squeezed.projection / deviation[:, None],
        squeezed.center,
    )
