"""Prototypes `momentum`: one per class, updated with momentum (LatteCLIP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from latte.api import (
    Classifier,
    EpochInfo,
    LabelStream,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
    mix_descriptions,
)
from latte.components.options import MomentumOptions


class MomentumPrototypes(PrototypeAggregator[MomentumOptions]):
    """Prototypes that move towards the mixed descriptions of their images, with momentum.

    A target is the prototype of a label, moved towards the mixed descriptions; the mean target of a
    class, at unit length, is its next prototype. `update` replaces the prototype tensor and never
    writes into it, so tensors that were returned before do not change.
    """

    _prototypes: Tensor
    _epoch_start_prototypes: Tensor
    _owners: Tensor
    _weights: Mapping[str, float]

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier as the first prototypes."""
        self._prototypes = start.class_features.detach().to(self.context.device)
        self._epoch_start_prototypes = self._prototypes
        self._owners = torch.arange(len(self._prototypes), device=self.context.device)
        self._weights = start.description_weights

    def classifier(self) -> Classifier:
        """Return the current prototypes (C, D)."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets z = P[c] + alpha (u - P[c]), (B, D), with alpha = 1 - momentum.

        P are the prototypes, c the labels and u the mixed descriptions; gradient flows through u
        only. Unless `normalize_targets` is set, the norm of z is slightly below 1. Without texts,
        z = P[c]: self-training on prototypes that do not change.
        """
        own = self._prototypes[stream.labels]
        targets = torch.lerp(own, self._mix(texts), 1 - self.options.momentum) if texts else own
        if self.options.normalize_targets:
            targets = functional.normalize(targets, dim=1)
        return Supervision(stream, targets, self.classifier())

    def _mix(self, texts: Mapping[str, Tensor]) -> Tensor:
        """Return mixed descriptions u (B, D), in the dtype of prototypes to keep small changes."""
        features = {name: text.to(self._prototypes.dtype) for name, text in texts.items()}
        if self.options.mixer == "mean":
            return mix_descriptions(features, self._weights, None)
        now = self.options.margins == "current"
        prototypes = self._prototypes if now else self._epoch_start_prototypes
        classifier = Classifier(prototypes, self._owners)
        return mix_descriptions(features, self._weights, classifier)

    @torch.no_grad()
    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Set each class's prototype to the unit vector along the weighted mean of its targets.

        All streams are summed: an image that has the same class in two streams counts twice.
        Classes without an image of positive weight keep their prototype.
        """
        sums = torch.zeros_like(self._prototypes)
        for supervision in supervisions:
            assert supervision.targets is not None, "not a supervision of these prototypes"
            weights = supervision.stream.weights.to(sums.dtype).unsqueeze(1)
            sums.index_add_(0, supervision.stream.labels, supervision.targets * weights)
        # Mean and sum have the same direction.
        lengths = sums.norm(dim=1, keepdim=True)
        self._prototypes = torch.where(lengths > 0, sums / lengths, self._prototypes)

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Store the prototypes at the start of the epoch, for `margins: epoch_start`."""
        self._epoch_start_prototypes = self._prototypes

    def state(self) -> dict[str, Tensor]:
        """Return the prototypes (C, D), and those at the epoch's start if margins use them."""
        state = {"prototypes": self._prototypes.clone()}
        if self.options.margins == "epoch_start":
            state["epoch_start_prototypes"] = self._epoch_start_prototypes.clone()
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)
        if self.options.margins == "epoch_start":
            stored = state["epoch_start_prototypes"]
            self._epoch_start_prototypes = stored.to(self.context.device)
