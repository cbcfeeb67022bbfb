"""A learner's two towers during one step: forward, and the way back through them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from latte.adapt.learner import Learner
from latte.adapt.precision import backward_in


class Towers:
    """Whole batches at once, with their graph."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """See `Learner.image_features`."""
        return self._learner.image_features(indices, pixels)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """See `Learner.encode_texts`."""
        return self._learner.encode_texts(texts)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss on what was encoded to those of all that trains."""
        with backward_in(self._learner.arithmetic):
            loss.backward()  # type: ignore[no-untyped-call]
