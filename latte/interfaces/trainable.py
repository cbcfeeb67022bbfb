"""Interface of components of kind `trainable`, which choose the parameters that train."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from latte.interfaces.backbone import Backbone
from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from torch import nn


class Trainable(Component[OptionsT]):
    """Chooses the parameters of a learner's backbone that train, and may add some.

    Example:
        >>> from latte.api import NoOptions, Trainable
        >>> class OnlyLayerNorms(Trainable[NoOptions]):
        ...     def select(self, backbone):
        ...         return backbone.train_only("visual_layer_norms")
    """

    def check(self) -> None:
        """Raise `LatteError` for an error that can be found before anything is computed."""

    @abstractmethod
    def select(self, backbone: Backbone) -> Mapping[str, nn.Parameter]:
        """Choose parameters of `backbone` to train, and return these parameters by name.

        Set `requires_grad` of the chosen parameters, and freeze all others. `backbone` is the
        learner's own copy of the frozen CLIP. Equal seeds must give equal bits.
        """

    def merge(self, backbone: Backbone) -> None:
        """Fold parameters that `select` added into the weights; called once, after training.

        Features may change by rounding. The backbone can then be saved. The default does nothing.
        """
