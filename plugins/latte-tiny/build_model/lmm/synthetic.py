"""Synthetic token grids of all 1,000 ImageNet classes, made from real tokens.

No ImageNet picture is available, and the available pictures show few of its classes. In a linear
discriminant, the mean of a class is its weight vector multiplied by the covariance. A block of real
tokens is moved in this direction until the ImageNet head predicts the class.
"""

from __future__ import annotations

import torch
from torch import Tensor

CEILING = 6.0
STRENGTHS = (1.0, 1.6, 2.5, 4.0, 6.0, 9.0)


class Synthesiser:
    """Generator of tokens that the ImageNet head classifies as a given class."""

    def __init__(self, pooled: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Compute the directions from real features `pooled` (N, 1280) and the ImageNet head.

        `weight` (1000, 1280) and `bias` (1000,) are parameters of the head.
        """
        directions = (weight - weight.mean(0)) @ torch.cov(pooled.T)
        self.directions = directions / directions.norm(dim=1, keepdim=True) * pooled.std(0).norm()
        self.weight, self.bias = weight, bias

    def opinion(self, tokens: Tensor) -> Tensor:
        """Return the ImageNet head's probabilities (B, 1000) for tokens (B, T, 1280)."""
        return (tokens.mean(1) @ self.weight.T + self.bias).softmax(-1)

    def push(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Change `tokens` (B, 9, 1280) so that the head classifies them as `labels` (B,).

        Only tokens in a random rectangle of 2 or 3 tokens per side are changed.
        """
        count, places, _ = tokens.shape
        block = _blocks(count).flatten(1)[:, :, None]
        # Strengths are random, because the tokens of an object differ from each other.
        noise = torch.rand(count, places, 1) * 0.8 + 0.6
        sparse = torch.rand(count, places, 1280) * 2 - 0.3
        step = self.directions[labels][:, None] * noise * sparse * block
        kept = tokens * (1 - block * (0.3 + 0.7 * torch.rand(count, 1, 1)))
        target = 0.25 + 0.7 * torch.rand(count)
        done = torch.zeros(count, dtype=torch.bool)
        out = tokens.clone()
        for strength in STRENGTHS:
            tried = (kept + strength * step).clamp(0, CEILING)
            says = self.opinion(tried)
            out[~done] = tried[~done]
            done |= says[torch.arange(count), labels] > target
            if done.all():
                break
        return out


def _blocks(count: int) -> Tensor:
    """Return `count` grids (count, 3, 3) of zeros, each with a random rectangle of ones."""
    place = torch.arange(3)
    masks = []
    for _ in range(2):
        size = torch.randint(2, 4, (count, 1))
        first = (torch.rand(count, 1) * (4 - size)).long()
        masks.append(((place >= first) & (place < first + size)).float())
    return masks[0][:, :, None] * masks[1][:, None, :]
