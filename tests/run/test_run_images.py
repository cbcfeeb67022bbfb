"""Images of a finished run, read again: order, labels, views, and a missing image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latte.api import PixelFormat, digest, open_image
from latte.api.runs import open_run, run_images, training_view
from latte.interfaces import LatteError
from tests.helpers.shared_runs import SharedRuns

pytestmark = pytest.mark.thorough

FORMAT = PixelFormat(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_training_images_have_the_order_of_the_keys(shared_runs: SharedRuns) -> None:
    run = open_run(shared_runs.of().folder)
    images = run_images(run)
    assert [digest(image.read_bytes()) for image in images.training] == [*run.rows.training_keys]
    assert sorted(sample.label for sample in images.labelled) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_views_repeat_and_depend_on_the_epoch(shared_runs: SharedRuns) -> None:
    run = open_run(shared_runs.of().folder)
    picture = open_image(run_images(run).training[0])
    view = training_view(run, FORMAT)
    assert torch.equal(view(picture, 0, 0), training_view(run, FORMAT)(picture, 0, 0))
    assert not torch.equal(view(picture, 0, 0), view(picture, 0, 1))
    plain = training_view(run, FORMAT, augmented=False)
    assert torch.equal(plain(picture, 0, 0), plain(picture, 5, 9))
    assert plain(picture, 0, 0).shape == (3, 16, 16)


def test_a_missing_image_is_named(shared_runs: SharedRuns, tmp_path: Path) -> None:
    run = open_run(shared_runs.of().copied(tmp_path))
    rows = run.folder.training_images
    lines = rows.read_text().splitlines()
    rows.write_text("\n".join([lines[0].replace('"id": "', '"id": "gone-'), *lines[1:]]) + "\n")
    with pytest.raises(LatteError, match="this image of the run is missing"):
        run_images(run)
