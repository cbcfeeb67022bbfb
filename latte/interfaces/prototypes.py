"""Prototype aggregators hold the class prototypes and derive supervision from them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from latte.interfaces.classifier import Classifier
from latte.interfaces.component import Component, OptionsT
from latte.interfaces.training import EpochInfo, LabelStream, TrainingStart

if TYPE_CHECKING:
    from torch import Tensor

ClassFeatureRefresh = Literal["start", "epoch", "step"]


@dataclass(frozen=True)
class Supervision:
    """Supervision of one label stream; a loss reads the field that its `requires` names.

    Example:
        >>> import torch
        >>> from latte.api import LabelStream, Supervision
        >>> stream = LabelStream("frozen", torch.tensor([1, 0]), torch.ones(2))
        >>> Supervision(stream, targets=torch.eye(2)[stream.labels]).targets
        tensor([[0., 1.],
                [1., 0.]])
    """

    stream: LabelStream
    targets: Tensor | None = None
    """(B, D): vectors that the image features should match; may carry gradient."""
    classifier: Classifier | None = None
    """Classifier that should give each image its label; may carry gradient."""


class PrototypeAggregator(Component[OptionsT]):
    """Holds one learner's prototypes: K vectors for each of C classes.

    Example:
        >>> import torch
        >>> from latte.api import Classifier, NoOptions, PrototypeAggregator, Supervision
        >>> class ZeroShot(PrototypeAggregator[NoOptions]):
        ...     def start(self, start):
        ...         self._rows = start.class_features
        ...     def classifier(self):
        ...         return Classifier(self._rows, torch.arange(len(self._rows)))
        ...     def supervise(self, stream, texts, image_features):
        ...         return Supervision(stream, self._rows[stream.labels], self.classifier())
        ...     def state(self):
        ...         return {"rows": self._rows.clone()}
        ...     def load_state(self, state):
        ...         self._rows = state["rows"]
    """

    class_features_refresh: ClassFeatureRefresh = "start"
    """Times at which the engine encodes the C class texts with the learner's text tower and calls
    `refresh_class_features`. `start`: never after the start. `epoch`: before every epoch and at the
    end, without gradient. `step`: before every step, with gradient, and at the end."""

    @abstractmethod
    def start(self, start: TrainingStart) -> None:
        """Set the first prototypes from the frozen CLIP's features."""

    def refresh_class_features(self, class_features: Tensor) -> None:
        """Take freshly encoded class texts (C, D); see `class_features_refresh`."""

    @abstractmethod
    def classifier(self) -> Classifier:
        """Return the current prototypes without gradient, for labels, evaluation and export."""

    def similarities(self, image_features: Tensor) -> Tensor:
        """Return the unscaled similarities (B, C) of unit features (B, D); see `Classifier`."""
        return self.classifier().similarities(image_features)

    @abstractmethod
    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Turn one stream's labels and texts into targets, a classifier, or both.

        `texts` maps each description's name to unit features (B, D) with gradient; for scope
        `class` these are the texts of this stream's labels. `image_features` (B, D) are detached.
        """

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Update the prototypes once per step, after `backward`, from all streams together."""

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Take the labelers' results at the start of an epoch, such as classifiers."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return all tensors that `load_state` needs to continue exactly."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned; called after `start`."""
