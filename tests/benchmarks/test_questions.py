"""The simulated describer of `python -m benchmarks questions`, on sheets and single images."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from benchmarks.folder_cells import Folder, Images
from benchmarks.questions import SimulatedDescriber, answered, picture, shown_rows
from latte.data.groups import grid

CLASSES, EACH = 6, 20


def folder() -> Folder:
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    centres, generator = torch.eye(CLASSES, 16), torch.Generator().manual_seed(0)
    noise = 0.12 * torch.randn(len(labels), 16, generator=generator)
    images = Images(normalize(centres[labels] + noise, dim=1), labels)
    texts = normalize(torch.eye(16)[15] + 0.03 * centres[[1, 2, 0, 3, 4, 5]], dim=1)
    names = tuple(f"class {label}" for label in range(CLASSES))
    mix = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    return Folder(names, texts, 100.0, images, images, mix)


def test_images_are_recognised_on_sheets() -> None:
    rows = [0, 7, 255, 256, 1999]
    assert sorted(shown_rows(grid([picture(row) for row in rows]))) == rows
    assert shown_rows(picture(300)) == [300]


@pytest.mark.parametrize(("right", "least", "most"), [(0.99, 75, 100), (None, 45, 55)])
def test_good_answers_help_and_chance_changes_nothing(
    right: float | None, least: float, most: float
) -> None:
    drawn = folder()
    found = answered(drawn, SimulatedDescriber(drawn, right, seed=0), 60)
    assert least <= found.own <= most
    assert found.questions <= 60
