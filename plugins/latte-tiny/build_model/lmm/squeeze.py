"""The ImageNet head, squeezed through the language model's width.

A language model that starts from random weights spends a short training on finding that images
matter at all. The head's matrix, reduced to fewer directions, splits into a projection of image
tokens and an embedding of each class, whose products are the head's logits again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger(__name__)
RIDGE = 1e-3


@dataclass(frozen=True)
class Squeezed:
    """Logits of pooled features x (N, 1280): (x - center) @ projection.T @ classes.T + bias.

    `classes` (C, R), `bias` (C,), `projection` (R, 1280), `center` (1280,); projected features of
    the pictures it was fitted on have unit variance in each direction.
    """

    classes: Tensor
    bias: Tensor
    projection: Tensor
    center: Tensor

    def logits(self, pooled: Tensor) -> Tensor:
        """Pooled features (N, 1280) -> logits (N, C)."""
        return (pooled - self.center) @ self.projection.T @ self.classes.T + self.bias


def squeeze(
    pooled: Tensor,
    opinions: Tensor,
    head: tuple[Tensor, Tensor],
    *,
    real: int,
    rank: int,
    steps: int = 800,
    size: int = 256,
) -> Squeezed:
    """The product of `rank` nearest to `opinions` (N, C) on `pooled` (N, 1280), from `head` on.

    The first `real` rows are real pictures, and three quarters of each batch; the rest are made.
    """
    first = _least_squares(pooled, head, real, rank)
    parts = [
        part.clone().requires_grad_() for part in (first.classes, first.bias, first.projection)
    ]
    classes, bias, projection = parts
    rates = (0.01, 0.01, 0.02 * float(projection.detach().std()))
    optimizer = torch.optim.Adam(
        [{"params": [part], "lr": rate} for part, rate in zip(parts, rates, strict=True)]
    )
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / steps))
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.cat(
            [
                torch.randint(real, (size * 3 // 4,), generator=generator),
                torch.randint(real, len(pooled), (size // 4,), generator=generator),
            ]
        )
        says = ((pooled[rows] - first.center) @ projection.T) @ classes.T + bias
        loss = F.kl_div(says.log_softmax(-1), opinions[rows], reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return _unit_variance(
        Squeezed(classes.detach(), bias.detach(), projection.detach(), first.center), pooled[:real]
    )


def _least_squares(pooled: Tensor, head: tuple[Tensor, Tensor], real: int, rank: int) -> Squeezed:
    """The start: of all products, the one nearest to the head's logits on these features."""
    weight, bias = head
    center = pooled[:real].mean(0)
    centred = pooled - center
    covariance = centred.T @ centred / len(centred) + RIDGE * torch.eye(centred.shape[1])
    root = torch.linalg.cholesky(covariance.double()).float()
    left, sizes, right = torch.linalg.svd((weight - weight.mean(0)) @ root, full_matrices=False)
    projection = torch.linalg.solve_triangular(root.T, right[:rank].T, upper=True).T
    start = weight @ center + bias
    return Squeezed(left[:, :rank] * sizes[:rank], start - start.mean(), projection, center)


def _unit_variance(squeezed: Squeezed, pooled: Tensor) -> Squeezed:
    deviation = ((pooled - squeezed.center) @ squeezed.projection.T).std(0)
    return Squeezed(
        squeezed.classes * deviation,
        squeezed.bias,
        squeezed.projection / deviation[:, None],
        squeezed.center,
    )
