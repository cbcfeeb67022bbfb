"""Pictures of the review page show the images of the run, or nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from latte.interfaces import ImageReference, LatteError
from latte.io.files import digest
from latte.review.pictures import picture_of
from tests.helpers.reviews import square


def test_a_picture_shows_the_content_of_the_run_or_nothing(tmp_path: Path) -> None:
    names = ["same.jpg", "other.jpg", "gone.jpg", "gone copy.jpg"]
    for name, row in zip(names, (0, 1, 2, 0), strict=True):
        (tmp_path / name).write_bytes(square(row))
    keys = [digest((tmp_path / name).read_bytes()) for name in names]
    (tmp_path / "other.jpg").write_bytes(square(0))
    images = [ImageReference(name, tmp_path / name) for name in names[:2]]
    picture = picture_of(names, keys, images)
    for row in (0, 3):
        assert Image.open(io.BytesIO(picture(row, 32))).size == (32, 24)
    for row in (1, 2):
        with pytest.raises(LatteError):
            picture(row, 32)
