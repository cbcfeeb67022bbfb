"""Prototypes `templates`: the text features of the class templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from latte.api import (
    Classifier,
    Context,
    LabelStream,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)
from latte.components.options import TemplateOptions


class TemplatePrototypes(PrototypeAggregator[TemplateOptions]):
    """One prototype per class: the text feature of its template.

    Without training this is the zero-shot classifier. With `refresh: step`, gradient reaches the
    text tower through every row that a loss uses, as in FLYP and in ReCLIP's text branch; with
    `start` and `epoch` only the image tower is trained.
    """

    _features: Tensor
    _owners: Tensor

    def __init__(self, options: TemplateOptions, context: Context) -> None:
        super().__init__(options, context)
        self.class_features_refresh = options.refresh

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier as the first prototypes."""
        self.refresh_class_features(start.class_features.detach())
        self._owners = torch.arange(len(self._features), device=self.context.device)

    def refresh_class_features(self, class_features: Tensor) -> None:
        """Use newly encoded class text features (C, D), with gradient if they carry one."""
        self._features = class_features.to(self.context.device)

    def classifier(self) -> Classifier:
        """Return the current features of the class texts (C, D), without gradient."""
        return Classifier(self._features.detach(), self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return the text feature of each label as target (B, D), and the classifier of all."""
        targets = self._features[stream.labels]
        return Supervision(stream, targets, Classifier(self._features, self._owners))

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Free the step's autograd graph; features change only when they are encoded again."""
        self._features = self._features.detach()

    def state(self) -> dict[str, Tensor]:
        """Return the features of the class texts (C, D)."""
        return {"class_features": self._features.detach().clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self.refresh_class_features(state["class_features"])
