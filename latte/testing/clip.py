"""Small deterministic CLIP for tests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from latte.interfaces import Backbone, PixelFormat, TrainableGroup

WIDTH = 16
"""Embedding width D of all features in `latte.testing`."""

_POOLED = 4
_GROUPS: Mapping[TrainableGroup, tuple[str, ...]] = {
    "all": ("image", "text", "logit_scale"),
    "projections": ("image", "text"),
}


class StubClip(Backbone):
    """Backbone with deterministic features that differ for different inputs; needs no download.

    An image feature depends on the mean colours of 4 x 4 tiles of the image, a text feature on a
    hash of the text, so image and text features are unrelated. The trainable groups `all` and
    `projections` have parameters; the others have none.

    Example:
        >>> from latte.testing import StubClip
        >>> clip = StubClip()
        >>> bool((clip.encode_texts(["a cat"]) == clip.encode_texts(["a cat"])).all())
        True
    """

    def __init__(self, width: int = WIDTH) -> None:
        self.pixel_format = PixelFormat(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.embedding_width = width
        generator = torch.Generator().manual_seed(0)
        weights = {
            "image": torch.randn(3 * _POOLED**2, width, generator=generator),
            "text": torch.eye(width),
            "logit_scale": torch.tensor(math.log(100.0)),
        }
        self._parameters = {
            name: nn.Parameter(value, requires_grad=False) for name, value in weights.items()
        }

    @property
    def fingerprint(self) -> str:
        """Identifier that depends on the embedding width only."""
        return f"stub-clip-{self.embedding_width}"

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S) to unit features (B, D)."""
        parts = adaptive_avg_pool2d(pixels, _POOLED).flatten(1)
        return normalize(parts @ self._parameters["image"], dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode M texts to unit features (M, D)."""
        width = self.embedding_width
        rows = [_hashed(text, width) for text in texts]
        stacked = torch.stack(rows) if rows else torch.zeros(0, width)
        return normalize(stacked @ self._parameters["text"], dim=1)

    @property
    def logit_scale(self) -> Tensor:
        """Scalar that multiplies cosine similarities."""
        return self._parameters["logit_scale"].exp()

    def clamp_logit_scale(self) -> None:
        """Keep the logit scale within [1, 100]."""
        with torch.no_grad():
            self._parameters["logit_scale"].clamp_(0.0, math.log(100.0))

    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Unfreeze `group`, freeze the rest, and return the trainable parameters by name."""
        names = _GROUPS.get(group, ())
        for name, parameter in self._parameters.items():
            parameter.requires_grad_(name in names)
        return {name: self._parameters[name] for name in names}

    def fork(self) -> StubClip:
        """Return an independent frozen copy."""
        copy = StubClip(self.embedding_width)
        copy.load_state(self.state())
        return copy

    def state(self) -> dict[str, Tensor]:
        """Return every weight by name."""
        return {name: value.detach().clone() for name, value in self._parameters.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(state[name])

    def save(self, folder: Path) -> None:
        """Raise `NotImplementedError`: a stub is not an open_clip model."""
        raise NotImplementedError("StubClip is no open_clip model and cannot be saved as one")


@cache
def _hashed(text: str, width: int) -> Tensor:
    seed = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(seed))
    return torch.randn(width, generator=generator)
