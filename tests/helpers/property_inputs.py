"""Inputs of property tests, and settings of hypothesis for them."""

from __future__ import annotations

import torch
from hypothesis import settings
from torch import Tensor

from latte.interfaces import Classifier

QUICKLY = settings(max_examples=25, deadline=None)
"""Settings of hypothesis without a deadline, for busy machines."""


def drawn_labels(rows: int, classes: int, seed: int) -> Tensor:
    return torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(seed))


def one_each(rows: Tensor) -> Classifier:
    return Classifier(rows, torch.arange(len(rows)))
