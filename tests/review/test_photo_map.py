"""A map of photos: 8 bytes each, at positions that depend on features alone."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from latte.interfaces import LatteError
from latte.models.photo_places import principal_places
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.review.photo_map import PhotoMap, map_bytes
from latte.review.revisions import Revision

FEATURES = torch.nn.functional.normalize(
    torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), dim=1
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run folder whose record nobody reads here."""
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(Run, "__init__", lambda self, folder: setattr(self, "folder", folder))
    return Run(RunFolder(tmp_path))


def prepared(run: Run) -> PhotoMap:
    """Return a map whose photos have been placed by their neighbours."""
    photo_map = PhotoMap(run, lambda run: FEATURES)
    photo_map.prepare()
    assert photo_map._thread is not None
    photo_map._thread.join()
    return photo_map


def test_first_look_decides_the_places(run: Run) -> None:
    early = PhotoMap(run, lambda run: FEATURES)
    rough = early.positions
    better = prepared(run).positions
    assert not np.array_equal(rough, better)
    assert early.positions is rough
    assert np.array_equal(PhotoMap(run, lambda run: FEATURES).positions, better)


def test_without_opentsne_the_map_shows_principal_components(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte.review.photo_map.can_place_by_neighbours", lambda: False)
    photo_map = PhotoMap(run, lambda run: FEATURES)
    photo_map.prepare()
    assert photo_map._thread is None
    expected = (principal_places(FEATURES) * 65_535).round().numpy()
    assert np.array_equal(photo_map.positions, expected)


def test_full_disk_costs_only_the_better_map(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("latte.models.photo_places.save_tensors", full)
    assert len(prepared(run).positions) == 50


def test_run_without_features_has_no_map(run: Run) -> None:
    with pytest.raises(LatteError, match="stored no features"):
        _ = PhotoMap(run, lambda run: None).positions


def test_a_photo_is_its_position_label_and_flags() -> None:
    revision = Revision({}, (), (7,) * 50, (0.4, 0.9, *[0.4] * 48), (0,) * 50, 8)
    positions = np.zeros((50, 2), dtype=np.uint16)
    content = map_bytes(positions, revision, {2})
    assert len(content) == 400
    rows = [struct.unpack_from("<HHHBB", content, 8 * row) for row in range(3)]
    assert [row[2:] for row in rows] == [(7, 1, 0), (7, 0, 0), (7, 2, 0)]
