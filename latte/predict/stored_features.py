"""Features of a run's training images, which need not be encoded again."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from latte.interfaces import LatteError
from latte.interfaces.measurements import Role
from latte.models.adapted import Adapted
from latte.models.zero_shot import load_zero_shot
from latte.results.run import Run


class StoredFeatures:
    """Features that a run stored of its training images, by the hash of an image's content.

    They are read at the first use. If the run folder lacks them, no feature is stored.
    """

    def __init__(self, run: Run, adapted: Adapted) -> None:
        """Use the features that the members of the model `adapted` take."""
        self._run = run
        self._adapted = adapted

    def features(self, key: str) -> tuple[Tensor, ...] | None:
        """Return the unit feature (D,) of an image by each member; None if they are not stored.

        `key` is the hash of the image's content.
        """
        row = self._rows.get(key)
        if row is None or not self._stored:
            return None
        return tuple(member_features[row] for member_features in self._stored)

    @cached_property
    def _rows(self) -> dict[str, int]:
        try:
            return {key: row for row, key in enumerate(self._run.rows.training_keys)}
        except LatteError:
            return {}

    @cached_property
    def _stored(self) -> list[Tensor]:
        """Unit features (N, D) of the training images by each member; empty if some are missing."""
        try:
            zero_shot = load_zero_shot(self._run.folder.zero_shot)
        except LatteError:
            return []
        if not {*self._adapted.encoder_names} <= {*zero_shot.encoders}:
            return []
        features = [zero_shot.of(name).training for name in self._adapted.names]
        images = len(self._run.rows.training_keys)
        return features if all(len(rows) == images for rows in features) else []


def stored_features(run: Run, role: Role, adapted: Adapted) -> StoredFeatures | None:
    """Return the stored features for the model `adapted` of a role; None if CLIP was trained."""
    is_frozen = role == "zero-shot" or not run.record.train.trains_clip
    return StoredFeatures(run, adapted) if is_frozen else None
