"""Interface of components of kind `trainable`, which choose the trainable parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from latte.interfaces.backbone import Backbone
from latte.interfaces.component import Component, OptionsT

if TYPE_CHECKING:
    from torch import nn


class Trainable(Component[OptionsT]):
    """Chooses the trainable parameters of a learner's backbone; may also add parameters.

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
        learner's own copy of the frozen CLIP. With equal seeds, the returned parameters must be
        bit-identical.
        """

    def merge(self, backbone: Backbone) -> None:
        """Merge parameters that `select` added into the model's weights; called after training.

        latte calls this method once, before it saves the model. Features may change by rounding.
        The default does nothing.
        """
