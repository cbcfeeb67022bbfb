"""Settings of `latte distil`, and what names them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from latte.api import digest


@dataclass(frozen=True)
class DistilSettings:
    """The network, and how it is trained."""

    student: str
    """Model of timm, as `timm:NAME`."""
    weights: Path | None = None
    """File of weights to start from; None starts from random weights."""
    size: int | None = None
    """Side of the images in pixels; None takes that of the model."""
    epochs: int = 30
    """Largest number of epochs."""
    patience: int = 5
    """Epochs without a smaller loss on the left-out images after which training stops."""
    batch_size: int = 32
    learning_rate: float | None = None
    """Largest learning rate; None chooses one for random or given weights."""
    seed: int = 0

    @property
    def rate(self) -> float:
        """The largest learning rate."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1e-3 if self.weights is None else 2e-4

    def fingerprint(self, lesson: str) -> str:
        """Return a digest of the settings and of the `lesson` with this fingerprint."""
        weights = b"" if self.weights is None else self.weights.read_bytes()
        values = {**asdict(self), "weights": None}
        return digest(lesson, weights, *(f"{name}={value}" for name, value in values.items()))
