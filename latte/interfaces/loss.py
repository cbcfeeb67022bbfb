"""Interface of losses, which compare image features with their supervision."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.prototypes import Supervision

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Component[OptionsT]):
    """Scalar loss of one label stream; the engine multiplies it by the stream's `scale`.

    Example:
        >>> from latte.api import Loss, NoOptions
        >>> class Cosine(Loss[NoOptions]):
        ...     requires = "targets"
        ...     def __call__(self, image_features, supervision, logit_scale):
        ...         distances = 1 - (image_features * supervision.targets).sum(dim=1)
        ...         return (supervision.stream.weights * distances).mean()
    """

    requires: ClassVar[Literal["targets", "classifier"]]
    """Field of `Supervision` that this loss reads."""
    sigmoid: ClassVar[bool] = False
    """True if the loss needs `Supervision.logit_bias`, which only sigmoid models have; recipes with
    another model are refused. If this is False and the model is a sigmoid model, latte warns."""

    @abstractmethod
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return a differentiable scalar for unit features (B, D) and a scalar logit scale."""
