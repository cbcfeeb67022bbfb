"""Interface of losses, which compare image features with their supervision."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.prototypes import Supervision

if TYPE_CHECKING:
    from torch import Tensor, nn


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

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the loss's own trained parameters by name, such as a temperature.

        Create them in `__init__`, on `context.device`. The learner's optimiser trains them together
        with the parameters of the backbone, at the same learning rate. Checkpoints contain them;
        `metrics.jsonl` records those with one element in each step, as `loss.NAME`. The saved model
        does not contain them. Parameters that this method does not return are not trained.

        Example:
            >>> import torch
            >>> from latte.api import Loss, NoOptions
            >>> class Warm(Loss[NoOptions]):
            ...     requires = "classifier"
            ...     def __init__(self, options, context):
            ...         super().__init__(options, context)
            ...         start = torch.zeros((), device=context.device)
            ...         self.log_temperature = torch.nn.Parameter(start)
            ...     def parameters(self):
            ...         return {"log_temperature": self.log_temperature}
        """
        return {}

    @abstractmethod
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return a differentiable scalar for unit features (B, D) and a scalar logit scale."""
