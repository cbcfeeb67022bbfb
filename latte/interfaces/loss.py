"""Losses: how far are the images' features from what supervises them?"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.prototypes import Supervision

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Component[OptionsT]):
    """A scalar for one stream; the engine adds the streams, each times its `scale`."""

    requires: ClassVar[Literal["targets", "classifier"]]
    """Which field of `Supervision` must be there."""

    @abstractmethod
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Unit features (B, D) and a scalar logit scale -> a scalar, differentiable."""
