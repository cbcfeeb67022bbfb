"""The map of a run's photos in bytes for the page, at places that stay while a person teaches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from latte.interfaces import LatteError
from latte.models.photo_places import (
    can_place_by_neighbours,
    placed_by_neighbours,
    principal_places,
    stored_places,
)
from latte.results.run import Run
from latte.review.revisions import Revision

DOUBTFUL = 0.5
"""Confidence below which a label is doubtful."""
_LARGEST = 65_535
_RECORD = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("label", "<u2"), ("flags", "u1"), ("nothing", "u1")]
)
_IS_DOUBTFUL, _IS_ANSWERED = 1, 2


class PhotoMap:
    """Places of the photos, which the first look decides.

    They are those that the run's folder keeps; else those by neighbours, if these are computed by
    then; else the principal components, until the review is opened again.
    """

    def __init__(self, run: Run, features: Callable[[Run], Tensor | None]) -> None:
        self._run, self._read_features = run, features
        self._by_neighbours: Tensor | None = None
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Begin to place the photos by their neighbours, in a thread, unless it has begun."""
        if self._thread is None and can_place_by_neighbours():
            self._thread = threading.Thread(target=self._place, daemon=True)
            self._thread.start()

    @cached_property
    def positions(self) -> NDArray[np.uint16]:
        """Positions (N, 2) in the square from 0 to 65,535.

        Raises `LatteError` if the run stored no features.
        """
        features = self._features
        if features is None:
            raise LatteError("this run stored no features, so there is no map")
        places = self._by_neighbours
        if places is None:
            places = stored_places(self._run, len(features))
        if places is None:
            places = principal_places(features)
        return np.asarray((places * _LARGEST).round().numpy(), dtype=np.uint16)

    @cached_property
    def _features(self) -> Tensor | None:
        return self._read_features(self._run)

    def _place(self) -> None:
        try:
            if self._features is not None:
                self._by_neighbours = placed_by_neighbours(self._run, self._features)
        except (LatteError, OSError):
            return  # the map shows the principal components, and the page asks as before


def map_bytes(
    positions: NDArray[np.uint16], revision: Revision, answered: Collection[int]
) -> bytes:
    """Return 8 bytes per photo: x, y, label, and whether it is doubtful (1) or answered (2).

    `answered` are the indices of the photos with an answer.
    """
    records = np.zeros(len(positions), dtype=_RECORD)
    records["x"], records["y"] = positions[:, 0], positions[:, 1]
    records["label"] = revision.labels
    records["flags"] = (np.asarray(revision.confidences) < DOUBTFUL) * _IS_DOUBTFUL
    records["flags"][[*answered]] = _IS_ANSWERED
    return records.tobytes()
