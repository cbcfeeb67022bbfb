"""Places of a run's photos on a map: photos that look alike lie close together.

With openTSNE (extra `review`), neighbours in the space of the features are neighbours on the map:
t-SNE of at most 2,000 photos, to which all others are added (van der Maaten and Hinton, JMLR 2008;
Poličar, Stražar and Zupan, 2019). Without it, the map shows the two principal components. Neither
knows labels or answers, so that the map stays while a person teaches.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latte.io.files import write_atomically
from latte.io.tensor_files import DamagedTensorsError, load_tensors, save_tensors

if TYPE_CHECKING:
    from latte.results.run import Run

_LANDMARKS = 2_000
_PERPLEXITY = 30.0
_START = 1e-4
"""Width of the map from which t-SNE starts: the principal components, close together."""
_FEWEST = 10
"""Smallest number of photos with neighbours to speak of."""
_BEYOND = 0.005
"""Share of photos at each end of an axis that are moved to the edge of the map."""


def can_place_by_neighbours() -> bool:
    """Return True if openTSNE is installed."""
    return importlib.util.find_spec("openTSNE") is not None


def principal_places(features: Tensor) -> Tensor:
    """Return the two principal components of features (N, D) as coordinates (N, 2) from 0 to 1.

    The sign of a component is fixed by its largest entry, so that equal runs have equal maps.
    """
    centred = (features - features.mean(dim=0)).double()
    _, directions = torch.linalg.eigh(centred.T @ centred)
    plane = directions[:, -2:].flip(1)
    signs = plane.gather(0, plane.abs().argmax(dim=0, keepdim=True)).sign()
    return _within(centred @ (plane * signs))


def neighbour_places(features: Tensor) -> Tensor:
    """Return places (N, 2) from 0 to 1 by t-SNE of features (N, D); the same for equal features.

    It runs on one core: about 6 seconds, and 1 more per 1,500 photos beyond 2,000.
    """
    if len(features) < _FEWEST:
        return principal_places(features)
    from openTSNE import TSNE

    centred = (features - features.mean(dim=0)).float().numpy()
    rows = torch.linspace(0, len(features) - 1, min(len(features), _LANDMARKS)).round().long()
    is_landmark = torch.zeros(len(features), dtype=torch.bool)
    is_landmark[rows] = True
    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    start = _START * (principal_places(features)[is_landmark] - 0.5).numpy()
    method: Any = TSNE(perplexity=perplexity, metric="cosine", n_jobs=1, random_state=0, n_iter=500)
    landmarks = method.fit(centred[is_landmark.numpy()], initialization=start)
    places = torch.empty(len(features), 2, dtype=torch.float64)
    places[is_landmark] = torch.tensor(landmarks, dtype=torch.float64)
    if not bool(is_landmark.all()):
        added = landmarks.transform(centred[~is_landmark.numpy()])
        places[~is_landmark] = torch.tensor(added, dtype=torch.float64)
    return _within(places)


def stored_places(run: Run, count: int) -> Tensor | None:
    """Return the places (N, 2) of `count` photos that the run's folder keeps; None without them."""
    try:
        places = load_tensors(run.folder.places).get("places")
    except (DamagedTensorsError, OSError):  # they are computed again
        return None
    fits = places is not None and places.shape == (count, 2) and bool(places.isfinite().all())
    return places if fits else None


def placed_by_neighbours(run: Run, features: Tensor) -> Tensor:
    """Return the run's places by t-SNE of its features (N, D), and keep them in its folder."""
    if (places := stored_places(run, len(features))) is not None:
        return places
    places = neighbour_places(features)
    with write_atomically(run.folder.places) as temporary:
        save_tensors(temporary, {"places": places})
    return places


def _within(places: Tensor) -> Tensor:
    """Return places (N, 2) scaled to 0 to 1; the outermost are moved to the edge."""
    ends = torch.tensor([_BEYOND, 1 - _BEYOND], dtype=places.dtype)
    low, high = places.quantile(ends, dim=0)
    scaled: Tensor = (places - low) / (high - low).clamp_min(1e-12)
    return scaled.clamp(0, 1)
