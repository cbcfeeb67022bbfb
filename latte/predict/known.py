"""Features of a run's training images, which need not be encoded again."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from latte.interfaces import LatteError
from latte.interfaces.measurements import Role
from latte.results.run import Run
from latte.run.zero_shot import load_zero_shot


class KnownFeatures:
    """Features that a run stored of its training images, by the hash of an image's content.

    They are read at the first use. If the run folder lacks them, no feature is known.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def feature(self, key: str) -> Tensor | None:
        """Return the unit feature (D,) of the image with the content hash `key`, if known."""
        row = self._rows.get(key)
        return None if row is None or self._features is None else self._features[row]

    @cached_property
    def _rows(self) -> dict[str, int]:
        try:
            return {key: row for row, key in enumerate(self._run.rows.training_keys)}
        except LatteError:
            return {}

    @cached_property
    def _features(self) -> Tensor | None:
        """Unit features (N, D) of the training images by the frozen CLIP."""
        try:
            features = load_zero_shot(self._run.folder.zero_shot).training
        except LatteError:
            return None
        return features if len(features) == len(self._run.rows.training_keys) else None


def known_features(run: Run, role: Role) -> KnownFeatures | None:
    """Return the stored features for the model `role`; None if its CLIP was trained."""
    is_frozen = role == "zero-shot" or not run.record.train.trains_clip
    return KnownFeatures(run) if is_frozen else None
