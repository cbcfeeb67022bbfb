"""Near-copies: the same picture saved again, and nothing that is only similar."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from latte.interfaces import ImageReference
from latte.run import near_copies as module
from latte.run.near_copies import near_copies


def photo(seed: int) -> Image.Image:
    """Return a picture of 120 x 90 pixels with smooth shapes."""
    picture = Image.linear_gradient("L").resize((120, 90)).convert("RGB")
    drawing = ImageDraw.Draw(picture)
    for number in range(12):
        x, y = (seed * 37 + number * 53) % 100, (seed * 71 + number * 29) % 70
        drawing.ellipse((x, y, x + 30, y + 20), fill=(seed * 90 % 256, number * 20, 255 - y))
    return picture


@pytest.fixture
def scan(tmp_path: Path) -> Any:
    photo(1).save(tmp_path / "a.jpg", quality=95)
    photo(2).save(tmp_path / "b.jpg", quality=95)
    photo(1).resize((80, 60)).save(tmp_path / "c.jpg", quality=60)
    photo(3).save(tmp_path / "d.jpg", quality=95)
    images = [
        ImageReference(name, tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    ]
    return SimpleNamespace(images=images, image=images.__getitem__)


FEATURES = torch.nn.functional.normalize(
    torch.tensor([[1.0, 0.1, 0.0], [0.0, 1.0, 0.1], [1.0, 0.1, 0.01], [0.0, 1.0, 0.1]]), dim=1
)


def test_a_picture_saved_again_is_found_and_a_similar_one_is_not(scan: Any) -> None:
    assert near_copies(scan, FEATURES) == (("a.jpg", "c.jpg"),)


def test_pictures_with_other_features_an_absent_one_and_one_alone_are_none(
    scan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert near_copies(scan, FEATURES[[0, 2, 1, 3]]) == ()
    assert near_copies(scan, FEATURES[:1]) == ()
    monkeypatch.setattr(module, "_MOST_IMAGES", 3)
    assert near_copies(scan, FEATURES) == ()
    monkeypatch.undo()
    scan.images[2].path.unlink()
    assert near_copies(scan, FEATURES) == ()
