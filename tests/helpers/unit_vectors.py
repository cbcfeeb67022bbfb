"""Random unit rows and labels, drawn from seeds."""

from __future__ import annotations

import torch
from hypothesis import settings
from torch import Tensor
from torch.nn.functional import normalize

from latte.interfaces import Classifier

QUICKLY = settings(max_examples=25, deadline=None)
"""Settings of hypothesis without a deadline, for busy machines."""


def unit_rows(rows: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator), dim=1)


def drawn_labels(rows: int, classes: int, seed: int) -> Tensor:
    return torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(seed))


def one_each(rows: Tensor) -> Classifier:
    return Classifier(rows, torch.arange(len(rows)))
