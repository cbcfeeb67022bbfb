"""The labeler alone, by the contract of its kind, and in whole runs."""

from __future__ import annotations

import pytest
import torch
from latte.api import Batch, NoOptions
from latte_author.testing import PseudoLabelerContract, RunContract
from latte_author.testing.doubles import FixedPrototypes
from latte_author.testing.fixtures import make_context, training_start
from latte_clear.labeler import ClearLabeler, ClearOptions


class TestClear(PseudoLabelerContract):
    """Shapes, determinism, resuming, a single class: the contract tests them."""

    component = "clear"
    options = {"margin": 0.05}  # noqa: RUF012


class TestRuns(RunContract):
    """Stopped runs continue with the same bits; evaluation labels change nothing."""

    recipe = (
        "descriptions: [class]\nlabels: [clear]\nprototypes: momentum\nloss: contrastive\n"
        "train: {batch_size: 4, max_epochs: 2, checkpoint_every: 2}\n"
    )


@pytest.mark.parametrize(("margin", "weight"), [(0.0, 1.0), (2.0, 0.0)])
def test_margin_selects_clear_images(tmp_path, margin, weight):
    """Margin 0 keeps every image, and no cosine leads by more than 2."""
    context, start = make_context(tmp_path), training_start()
    aggregator = FixedPrototypes(NoOptions(), context)
    aggregator.start(start)
    labeler = ClearLabeler(ClearOptions(margin=margin), context)
    batch = Batch("main", torch.arange(5), epoch=0, step=0)
    [stream] = labeler.assign(batch, start.image_features[:5], aggregator)
    assert stream.weights.tolist() == [weight] * 5
