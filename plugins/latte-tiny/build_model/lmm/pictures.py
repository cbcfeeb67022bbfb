"""The pictures to train on: their tokens, what the ImageNet head says of them, their looks."""

from __future__ import annotations

import random
from functools import lru_cache

import torch
from torch import Tensor

from .answers import SURE
from .looks import Looks, look
from .sources import Sources
from .synthetic import Synthesiser
from .views import TOKEN_SCALE


class Pictures:
    """Views of photos, then of stamps, in one row of numbers."""

    def __init__(self, sources: Sources, weight: Tensor, bias: Tensor, seed: int = 0) -> None:
        """`weight` (1000, 1280) and `bias` (1000,) are the trunk's ImageNet head."""
        self.sources = sources
        self.photos = len(sources.photos.source)
        self.draw = random.Random(seed)
        self._tokens = torch.cat([sources.photos.tokens, sources.stamps.tokens])
        parts = [part.float().mean(1) for part in self._tokens.split(1024)]
        pooled = torch.cat(parts) / TOKEN_SCALE
        self.center = pooled.mean(0)
        self.probabilities = (pooled @ weight.T + bias).softmax(-1)
        self.synthesiser = Synthesiser(pooled, weight, bias)
        self.looks = lru_cache(maxsize=None)(self._looks)

    def __len__(self) -> int:
        return len(self._tokens)

    def any(self, count: int) -> list[int]:
        """Rows drawn at random."""
        return [self.draw.randrange(len(self)) for _ in range(count)]

    def tokens(self, rows: list[int]) -> Tensor:
        """Tokens (B, 36, 1280) in the tower's own units."""
        return self._tokens[rows].float() / TOKEN_SCALE

    def captions(self, row: int) -> list[str]:
        """The five captions of the photo that view `row` was taken from."""
        return self.sources.captions[int(self.sources.photos.source[row])]

    def opinions(self, size: int) -> tuple[Tensor, Tensor]:
        """Tokens of pictures, half of them made, and what the head says of them (size, 1000)."""
        tokens = self.tokens(self.any(size))
        labels = torch.randint(1000, (size // 2,))
        made = self.synthesiser.push(tokens[: size // 2], labels, whole=False)
        tokens = torch.cat([made, tokens[size // 2 :]])
        return tokens, self.synthesiser.opinion(tokens)

    def by_class(self, at_least: int) -> dict[int, list[int]]:
        """Rows of which the head is sure, by class, for classes with so many rows."""
        best = self.probabilities.max(1)
        found: dict[int, list[int]] = {}
        for row in (best.values >= SURE).nonzero()[:, 0].tolist():
            found.setdefault(int(best.indices[row]), []).append(row)
        return {label: rows for label, rows in found.items() if len(rows) >= at_least}

    def _looks(self, row: int) -> Looks:
        photos, stamps = self.sources.photos.pixels, self.sources.stamps.pixels
        return look(photos[row] if row < self.photos else stamps[row - self.photos])
