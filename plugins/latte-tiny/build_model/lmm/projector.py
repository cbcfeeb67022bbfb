"""A projector that starts as the ImageNet head, squeezed through the language model's width.

From random weights, a small language model spends a short training on finding that the image tokens
matter at all. The head's matrix, reduced to as many directions as an embedding has, splits into a
projection of image tokens and an embedding of each class, whose products are the head's logits
again: what the model sees and what it says start in one space.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from .model import EMBEDDING_DEVIATION, WIDTH
from .pictures import Pictures

log = logging.getLogger(__name__)
RIDGE = 1e-3


@torch.no_grad()
def low_rank_head(pictures: Pictures, weight: Tensor, batches: int = 60) -> tuple[Tensor, Tensor]:
    """The head `weight` (1000, 1280) as classes (1000, W) times projection (W, 1280).

    Of all such products, the one nearest to the head's centred logits on pooled features of the
    pictures, half of them made. Projected features have unit variance.
    """
    drawn = [pictures.opinions(64) for _ in range(batches)]
    pooled = torch.cat([tokens.mean(1) for tokens, _ in drawn])
    centred = pooled - pictures.center
    covariance = centred.T @ centred / len(centred) + RIDGE * torch.eye(centred.shape[1])
    root = torch.linalg.cholesky(covariance.double()).float()
    left, sizes, right = torch.linalg.svd((weight - weight.mean(0)) @ root, full_matrices=False)
    classes = left[:, :WIDTH] * sizes[:WIDTH]
    projection = torch.linalg.solve_triangular(root.T, right[:WIDTH].T, upper=True).T
    said = torch.cat([opinion.argmax(1) for _, opinion in drawn])
    agrees = ((centred @ projection.T) @ classes.T).argmax(1) == said
    log.info("the reduced head agrees on %.3f of the pictures", agrees.float().mean())
    return classes, projection


@torch.no_grad()
def start(projector: nn.Module, projection: Tensor) -> None:
    """Let the projector map centred tokens (1280,) by `projection` (W, 1280)."""
    projector.linear_1.weight.copy_(projection * EMBEDDING_DEVIATION)  # type: ignore[union-attr, operator]
    projector.linear_1.bias.zero_()  # type: ignore[union-attr, operator]
    projector.linear_2.weight.copy_(torch.eye(WIDTH))  # type: ignore[union-attr, operator]
    projector.linear_2.bias.zero_()  # type: ignore[union-attr, operator]


@torch.no_grad()
def shift_input(projector: nn.Module, center: Tensor) -> None:
    """Make the projector take tokens minus `center` (1280,); with -`center`, undo that.

    Tokens are never negative, so uncentred ones let every step of the optimiser move all outputs
    alike, until what the pictures have in common drowns what sets them apart.
    """
    projector.linear_1.bias.add_(projector.linear_1.weight @ center)  # type: ignore[union-attr, operator]


@torch.no_grad()
def open_path(language_model: nn.Module, layers: int = 2) -> None:
    """Let the first layers' attention start as an average: what is seen reaches every position."""
    for layer in language_model.layers[:layers]:  # type: ignore[union-attr, index]
        attention = layer.self_attn
        attention.v_proj.weight.add_(torch.eye(WIDTH) * 0.5)
        attention.o_proj.weight.add_(torch.eye(WIDTH) * 0.3)
