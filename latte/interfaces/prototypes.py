"""Class prototypes: what should this image's feature move towards?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.labels import LabelStream, RoundInfo, TrainingStart

if TYPE_CHECKING:
    from torch import Tensor

ClassFeatureRefresh = Literal["start", "epoch", "step"]


@dataclass(frozen=True)
class Supervision:
    """What one label stream teaches. A loss reads `targets` or `class_weights`, as it declares."""

    stream: LabelStream
    targets: Tensor | None = None
    """(B, D): what each image's feature should match; with gradient where the method wants it."""
    class_weights: Tensor | None = None
    """(C·K, D): rows of a classifier."""
    owners: Tensor | None = None
    """(C·K,) int64: the class of each row of `class_weights`."""


@dataclass(frozen=True)
class Classifier:
    """Prototypes as they classify: `weights` (C·K, D) unit rows, `owners` (C·K,) their class."""

    weights: Tensor
    owners: Tensor

    @property
    def classes(self) -> int:
        """C, the number of classes; read from the device once for each `owners` tensor."""
        return _number_of_classes(self.owners)

    def similarities(self, image_features: Tensor) -> Tensor:
        """Unit features (B, D) -> (B, C): cosine with the nearest prototype of each class."""
        if self.weights.shape[0] == self.classes:
            return image_features @ self.weights.index_select(0, self.owners.argsort()).T
        rows = image_features @ self.weights.T
        owners = self.owners.expand_as(rows)
        lowest = rows.new_full((rows.shape[0], self.classes), -float("inf"))
        return lowest.scatter_reduce(1, owners, rows, "amax", include_self=True)


@cache
def _known_numbers() -> MutableMapping[Tensor, int]:
    from torch.utils.weak import WeakTensorKeyDictionary

    return WeakTensorKeyDictionary()


def _number_of_classes(owners: Tensor) -> int:
    known = _known_numbers()
    if owners not in known:
        known[owners] = int(owners.max()) + 1
    return known[owners]


class PrototypeAggregator(Component[OptionsT]):
    """Owns one learner's prototypes: K unit vectors for each of C classes."""

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

    def logits(self, image_features: Tensor) -> Tensor:
        """Unit features (B, D) -> cosine similarities (B, C), not scaled."""
        return self.classifier().similarities(image_features)

    @abstractmethod
    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Turn one stream's labels and texts into targets or class weights.

        `texts` maps each description's name to unit features (B, D) with gradient (scope `class`:
        the text of each sample's label in this stream). `image_features` (B, D) are detached.
        """

    def commit(self, supervisions: Sequence[Supervision]) -> None:
        """Update the prototypes once a step, from all streams together (after `backward`)."""

    def end_round(self, info: RoundInfo, learner: str) -> None:
        """Take what a labeler found at the start of an epoch, such as centroids."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold so that `load_state` continues exactly."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned; `start` has been called before."""
