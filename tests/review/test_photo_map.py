"""A map of photos: 8 bytes each, at positions that depend on features alone."""

from __future__ import annotations

import struct

import numpy as np
import torch

from latte.review.photo_map import map_bytes, rough_positions
from latte.review.revisions import Revision

FEATURES = torch.nn.functional.normalize(
    torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), dim=1
)


def test_positions_fill_the_square_and_never_change() -> None:
    positions = rough_positions(FEATURES)
    assert (positions.min(axis=0) == 0).all() and (positions.max(axis=0) == 65_535).all()
    assert np.array_equal(positions, rough_positions(FEATURES))


def test_alike_photos_lie_close_together() -> None:
    pairs = torch.cat([FEATURES, torch.nn.functional.normalize(FEATURES + 0.01, dim=1)])
    positions = rough_positions(pairs).astype(np.float64)
    apart = np.linalg.norm(positions[:50] - positions[50:], axis=1)
    assert apart.max() < 4000


def test_a_photo_is_its_position_label_and_flags() -> None:
    revision = Revision({}, (), (7,) * 50, (0.4, 0.9, *[0.4] * 48), (0,) * 50, 8)
    content = map_bytes(rough_positions(FEATURES), revision, {2})
    assert len(content) == 400
    rows = [struct.unpack_from("<HHHBB", content, 8 * row) for row in range(3)]
    assert [row[2:] for row in rows] == [(7, 1, 0), (7, 0, 0), (7, 2, 0)]
