"""Interfaces of prototype aggregators, which compute training targets, and of losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from latte.interfaces.classifier import Classifier
from latte.interfaces.component import Component, OptionsT
from latte.interfaces.errors import LatteError
from latte.interfaces.training import EpochInfo, LabelStream, TrainingStart

if TYPE_CHECKING:
    from torch import Tensor, nn

ClassFeatureRefresh = Literal["start", "epoch", "step"]


@dataclass(frozen=True)
class Supervision:
    """Labels of a batch from one source, with the targets or the classifier that a loss needs.

    Attributes:
        targets: (B, D): vectors that the image features should match; may carry gradient.
        classifier: Classifier that should predict each image's label; may carry gradient.
        logit_bias: Scalar that a sigmoid model adds to its logits, set by the engine; None for
            other models.

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
    classifier: Classifier | None = None
    logit_bias: Tensor | None = field(default=None, kw_only=True)

    def need_targets(self) -> Tensor:
        """Return `targets`. Raises `LatteError` if the prototypes give none."""
        if self.targets is None:
            raise LatteError(
                "the loss needs a target for each image, and these prototypes give none",
                hint="use prototypes that do, such as `momentum` or `templates`",
            )
        return self.targets

    def need_classifier(self) -> Classifier:
        """Return `classifier`. Raises `LatteError` if the prototypes give none."""
        if self.classifier is None:
            raise LatteError(
                "the loss needs a classifier, and these prototypes give none",
                hint="use prototypes that do, such as `templates` or `from-labeler`",
            )
        return self.classifier


class PrototypeAggregator(Component[OptionsT]):
    """Holds one learner's prototypes: K vectors that represent each of C classes.

    Attributes:
        class_features_refresh: When the engine encodes the C class texts again with the learner's
            text tower, and calls `refresh_class_features`. `start`: never; the features passed
            to `start()` stay in use. `epoch`: before every epoch but the first, and after training,
            without gradient. `step`: before every step, with gradient, and after training.

    Example:
        >>> from collections.abc import Mapping
        >>> import torch
        >>> from torch import Tensor
        >>> from latte.api import (
        ...     Classifier,
        ...     LabelStream,
        ...     NoOptions,
        ...     PrototypeAggregator,
        ...     Supervision,
        ...     TrainingStart,
        ... )
        >>> class ZeroShot(PrototypeAggregator[NoOptions]):
        ...     def start(self, start: TrainingStart) -> None:
        ...         self._rows = start.class_features
        ...
        ...     def classifier(self) -> Classifier:
        ...         owners = torch.arange(len(self._rows), device=self._rows.device)
        ...         return Classifier(self._rows, owners)
        ...
        ...     def supervise(
        ...         self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
        ...     ) -> Supervision:
        ...         return Supervision(stream, self._rows[stream.labels], self.classifier())
        ...
        ...     def state(self) -> dict[str, Tensor]:
        ...         return {"rows": self._rows.clone()}
        ...
        ...     def load_state(self, state: Mapping[str, Tensor]) -> None:
        ...         self._rows = state["rows"].to(self.context.device)
    """

    class_features_refresh: ClassFeatureRefresh = "start"

    @abstractmethod
    def start(self, start: TrainingStart) -> None:
        """Set the initial prototypes from the frozen CLIP's features."""

    def refresh_class_features(self, class_features: Tensor) -> None:
        """Use new class text features (C, D); called as often as `class_features_refresh` says."""

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
        """Return the targets that image features should match, a classifier, or both.

        `stream` has the labels of the B images from one source. `texts` maps each description's
        name to unit text features (B, D) with gradient. For a description of scope `class`, row b
        is the text feature of the class `stream.labels[b]`. `image_features` (B, D) are detached.
        """

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Update the prototypes from all label streams; called once per step, after `backward`."""

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Replace the prototypes by `info.classifiers[learner]`, if a labeler returned it."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return all tensors that `load_state` needs to resume exactly."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned; called after `start`."""


class Loss(Component[OptionsT]):
    """Scalar loss of a batch for one label stream (labels and weights from one source).

    The engine multiplies the loss by the stream's `scale`, then sums over all streams.

    Attributes:
        sigmoid: True if the loss needs `Supervision.logit_bias`, which only sigmoid models have.
            latte then rejects softmax models. If False, latte warns when it trains sigmoid models.

    Example:
        >>> from torch import Tensor
        >>> from latte.api import Loss, NoOptions, Supervision
        >>> class Cosine(Loss[NoOptions]):
        ...     def __call__(
        ...         self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
        ...     ) -> Tensor:
        ...         distances = 1 - (image_features * supervision.need_targets()).sum(dim=1)
        ...         return (supervision.stream.weights * distances).mean()
    """

    sigmoid: ClassVar[bool] = False

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the loss's own trained parameters by name, such as a temperature.

        Create the parameters in `__init__`, on `context.device`. The learner's optimiser trains
        them at the learning rate of the backbone. Checkpoints contain them, the saved model does
        not. `metrics.jsonl` records each parameter with one element as `loss.NAME`.

        Example:
            >>> import torch
            >>> from latte.api import Loss, NoOptions
            >>> class Warm(Loss[NoOptions]):
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
        """Return the loss (scalar, with gradient) of unit image features (B, D).

        `supervision` holds the labels and weights of the B images, and their targets or classifier.
        `logit_scale` is a scalar.
        """
