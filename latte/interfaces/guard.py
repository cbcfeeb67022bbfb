"""Guards: is there anything to learn from, or is zero-shot the better model?"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """What a guard found out before anything was described or trained."""

    adapt: bool
    """False: the run keeps the zero-shot classifier."""
    reason: str
    """The figure that decided, as a clause that a user can read."""


class Guard(Component[OptionsT]):
    """Decides without labels whether a run should adapt at all."""

    @abstractmethod
    def judge(self, image_features: Tensor, class_features: Tensor) -> Verdict:
        """Frozen unit features of the training images (N, D) and of the class texts (C, D)."""
