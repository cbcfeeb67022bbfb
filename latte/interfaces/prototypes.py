"""Class prototypes: what should this image's feature move towards?"""

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
    """What one label stream teaches. A loss reads `targets` or `classifier`, as it declares."""

    stream: LabelStream
    targets: Tensor | None = None
    """(B, D): what each image's feature should match; with gradient where the method wants it."""
    classifier: Classifier | None = None
    """What an image's label is to win under; with gradient where the method wants it."""


class PrototypeAggregator(Component[OptionsT]):
    """Owns one learner's prototypes: K vectors for each of C classes."""

    class_features_refresh: ClassFeatureRefresh = "start"
    """When the engine re-encodes the C class texts with the learner's text tower and hands them to
    `refresh_class_features`: never again, before every epoch and at the end (no gradient), or
    before every step and at the end (with gradient during steps)."""

    @abstractmethod
    def start(self, start: TrainingStart) -> None:
        """Set the first prototypes, from the frozen CLIP's features."""

    def refresh_class_features(self, class_features: Tensor) -> None:
        """Take freshly encoded class texts (C, D); see `class_features_refresh`."""

    @abstractmethod
    def classifier(self) -> Classifier:
        """The prototypes now, without gradient: for pseudo-labels, evaluation and export."""

    def similarities(self, image_features: Tensor) -> Tensor:
        """Unit features (B, D) -> similarities (B, C), not scaled; see `Classifier`."""
        return self.classifier().similarities(image_features)

    @abstractmethod
    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Turn one stream's labels and texts into targets, a classifier, or both.

        `texts` maps each description's name to unit features (B, D) with gradient (scope `class`:
        the text of each sample's label in this stream). `image_features` (B, D) are detached.
        """

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Update the prototypes once a step, from all streams together (after `backward`)."""

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Take what a labeler found at the start of an epoch, such as classifiers."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold so that `load_state` continues exactly."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned; `start` has been called before."""
