"""Places of photos on a map depend on features alone; neighbours in their space are neighbours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.io.tensor_files import save_tensors
from latte.models.photo_places import (
    neighbour_places,
    placed_by_neighbours,
    principal_places,
    stored_places,
)
from latte.results.folder import RunFolder
from latte.results.run import Run

CENTRES = normalize(torch.randn(12, 32, generator=torch.Generator().manual_seed(1)), dim=1)
FEATURES = normalize(
    CENTRES.repeat(5, 1) + 0.15 * torch.randn(60, 32, generator=torch.Generator().manual_seed(2)),
    dim=1,
)
"""Five photos around each of twelve centres."""


def nearest_is_alike(places: Tensor) -> float:
    """Return the share of photos whose nearest photo on the map has the same centre."""
    distances = torch.cdist(places, places).fill_diagonal_(torch.inf)
    return (distances.argmin(dim=1) % 12 == torch.arange(60) % 12).double().mean().item()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run folder whose record nobody reads here."""
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(Run, "__init__", lambda self, folder: setattr(self, "folder", folder))
    return Run(RunFolder(tmp_path))


@pytest.mark.parametrize("place", [principal_places, neighbour_places])
def test_places_fill_the_square_and_never_change(place: Callable[[Tensor], Tensor]) -> None:
    places = place(FEATURES)
    assert places.min(dim=0).values.tolist() == [0, 0]
    assert places.max(dim=0).values.tolist() == [1, 1]
    assert torch.equal(places, place(FEATURES))


def test_neighbours_stay_neighbours() -> None:
    assert nearest_is_alike(neighbour_places(FEATURES)) == 1
    assert nearest_is_alike(principal_places(FEATURES)) < 0.9


def test_photos_beyond_the_landmarks_lie_beside_their_like(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("latte.models.photo_places._LANDMARKS", 36)
    assert nearest_is_alike(neighbour_places(FEATURES)) > 0.9


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11])
def test_few_photos_and_equal_photos_have_places(count: int) -> None:
    for features in (FEATURES[:count], FEATURES[:1].repeat(count, 1)):
        assert neighbour_places(features).isfinite().all()


def test_places_are_kept_in_the_run(run: Run) -> None:
    assert stored_places(run, 60) is None
    places = placed_by_neighbours(run, FEATURES)
    assert torch.equal(stored_places(run, 60), places)
    assert torch.equal(placed_by_neighbours(run, -FEATURES), places)


def test_damaged_places_and_places_of_other_photos_are_made_again(run: Run) -> None:
    places = placed_by_neighbours(run, FEATURES)
    assert stored_places(run, 59) is None
    save_tensors(run.folder.places, {"places": torch.full((60, 2), torch.nan)})
    assert stored_places(run, 60) is None
    run.folder.places.write_bytes(b"damaged")
    assert torch.equal(placed_by_neighbours(run, FEATURES), places)
