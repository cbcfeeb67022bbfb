"""A run that a power loss interrupts is resumed to identical results, and asks nothing again."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from latte_author.testing import TinyRuns
from latte_author.testing.tiny_runs import assert_same, results

from latte.describe.store import DescriptionStore, StoredText
from tests.helpers.power_loss import Disk

pytestmark = pytest.mark.thorough

RECIPE = """\
describer: phrases
descriptions: [class, image]
labels: [frozen, current]
prototypes: momentum
loss: contrastive
trainable: projections
reporters: []
train: {batch_size: 4, max_epochs: 2, checkpoint_every: 1}
"""
SHARE = 0.003
"""Share of all possible outcomes of a power loss that is tried: each takes a run."""


@contextmanager
def stored_keys(disk: Disk | None = None) -> Iterator[list[str]]:
    """Collect the keys of answers that are stored, each when its storing is finished."""
    keys: list[str] = []
    put_many = DescriptionStore.put_many

    def put(self: DescriptionStore, records: Sequence[StoredText]) -> None:
        put_many(self, records)
        keys.extend(record.key for record in records)
        if disk is not None:
            disk.promise([record.key for record in records])

    with mock.patch.object(DescriptionStore, "put_many", put):
        yield keys


def test_run_after_power_loss_gives_identical_results(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    runs = TinyRuns(tmp_path / "disk")
    disk = Disk(runs.folder)
    with disk.watched(), stored_keys(disk):
        uninterrupted = results(runs.run(RECIPE))
    tried = 0
    for image in disk.images(tmp_path / "left", share=SHARE):
        left = copy.copy(runs)
        left.folder = image.path
        with stored_keys() as asked_again:
            resumed = results(left.run(RECIPE))
        assert_same(resumed, uninterrupted, str(image))
        assert not {*asked_again} & {key for keys in image.promised for key in keys}, image
        tried += 1
    assert tried >= 5
