"""Interface of losses, which compare image features with target vectors or a classifier."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.prototypes import Supervision

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Component[OptionsT]):
    """Scalar loss of a batch for one label stream (labels and weights from one source).

    The engine multiplies the loss by the `scale` of the stream and adds up the streams.

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
    """True if the loss needs `Supervision.logit_bias`, which only sigmoid models have. latte then
    refuses recipes with a softmax model. If False, latte warns of recipes with a sigmoid model."""

    @abstractmethod
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss (scalar, with gradient) of unit image features (B, D).

        `supervision` holds the labels and weights of the B images, and their targets or classifier.
        `logit_scale` is a scalar.
        """
