"""One training step of one learner."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from latte_author.testing.fixtures import unit_rows

from latte.components.latteclip import ContrastiveLoss
from latte.interfaces import Classifier, NoOptions, Supervision
from latte.interfaces.training import full_stream
from latte.train.step import _losses
from tests.helpers.training_driver import CONTEXT


def test_loss_of_a_stream_is_multiplied_by_its_scale() -> None:
    features, targets = unit_rows(4, 8, seed=0), unit_rows(4, 8, seed=1)
    classifier = Classifier(unit_rows(2, 8, seed=2), torch.arange(2))
    labels = torch.tensor([0, 1, 0, 1])
    supervisions = [
        Supervision(full_stream(name, labels, features, scale), targets, classifier)
        for name, scale in (("whole", 1.0), ("quarter", 0.25))
    ]
    learner: Any = SimpleNamespace(
        loss=ContrastiveLoss(NoOptions(), CONTEXT),
        backbone=SimpleNamespace(logit_scale=torch.tensor(10.0)),
    )
    whole, quarter = _losses(learner, features, supervisions)
    assert float(whole) > 0
    torch.testing.assert_close(quarter, whole / 4)
