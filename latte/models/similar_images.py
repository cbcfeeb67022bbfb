"""Features that say which training images of a run are similar, for the order of questions."""

from __future__ import annotations

from torch import Tensor

from latte.models.zero_shot import ZeroShot, load_zero_shot
from latte.results.run import Run
from latte.toolkit.encoder_agreement import joined_features


def training_features(run: Run) -> Tensor | None:
    """Return `training_with_encoders` of a finished run; None if the run stored no features."""
    path = run.folder.zero_shot
    return training_with_encoders(load_zero_shot(path)) if path.exists() else None


def training_with_encoders(zero_shot: ZeroShot) -> Tensor:
    """Return unit rows (N, D + E + ...) whose cosines say which training images are similar.

    They are `zero_shot.clip.training` itself unless an encoder is useful; see `joined_features`.
    """
    features = {name: encoder.training for name, encoder in zero_shot.encoders.items()}
    return joined_features(zero_shot.clip.training, features)
