"""The loss `contrastive` with a simulated out-of-memory error at one step."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from latte.components.latteclip import ContrastiveLoss
from latte.interfaces import Supervision


class Starving(ContrastiveLoss):
    """Loss that fails once, after the number of calls in `FAULTS_STARVE`, and removes this file."""

    calls = 0

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss of `contrastive`, or raise `torch.OutOfMemoryError`."""
        self.calls += 1
        note = Path(os.environ.get("FAULTS_STARVE", ""))
        if note.is_file() and self.calls > int(note.read_text()):
            note.unlink()
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return super().__call__(image_features, supervision, logit_scale)
