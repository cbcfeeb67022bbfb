"""LatteCLIP's prototypes: one a class, following the mixed descriptions with momentum."""

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
    """An image's target is its label's prototype, moved a little towards its descriptions' mix.

    The targets of a step then become the prototypes. Prototype tensors are replaced, never
    written into: what was handed out before stays as it was.
    """

    _prototypes: Tensor
    _epoch_start_prototypes: Tensor
    _owners: Tensor
    _weights: Mapping[str, float]

    def start(self, start: TrainingStart) -> None:
        """Begin with the zero-shot classifier."""
        self._prototypes = start.class_features.detach().to(self.context.device)
        self._epoch_start_prototypes = self._prototypes
        self._owners = torch.arange(len(self._prototypes), device=self.context.device)
        self._weights = start.description_weights

    def classifier(self) -> Classifier:
        """The prototypes (C, D) now."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Targets z = P[c] + alpha (u - P[c]), with alpha = 1 - momentum and u the texts' mix.

        Gradient goes through u only. Unless `normalize_targets` is set, z is a little shorter than
        1. Without any text, u = P[c]: self-training on the prototypes, which then stay as they are.
        """
        own = self._prototypes[stream.labels]
        targets = torch.lerp(own, self._mix(texts), 1 - self.options.momentum) if texts else own
        if self.options.normalize_targets:
            targets = functional.normalize(targets, dim=1)
        return Supervision(stream, targets, self.classifier())

    def _mix(self, texts: Mapping[str, Tensor]) -> Tensor:
        """The mix u (B, D), in the prototypes' precision: a step moves them by very little."""
        features = {name: text.to(self._prototypes.dtype) for name, text in texts.items()}
        if self.options.mixer == "mean":
            return mix_descriptions(features, self._weights, None)
        now = self.options.margins == "current"
        prototypes = self._prototypes if now else self._epoch_start_prototypes
        classifier = Classifier(prototypes, self._owners)
        return mix_descriptions(features, self._weights, classifier)

    @torch.no_grad()
    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Make each labelled class's prototype the unit vector along its targets' weighted mean.

        All streams count together: a sample on which two streams agree counts twice. Classes that
        no sample of positive weight has been given keep their prototype.
        """
        sums = torch.zeros_like(self._prototypes)
        for supervision in supervisions:
            assert supervision.targets is not None, "not a supervision of these prototypes"
            weights = supervision.stream.weights.to(sums.dtype).unsqueeze(1)
            sums.index_add_(0, supervision.stream.labels, supervision.targets * weights)
        # The mean differs from the sum by its length alone, which the unit vector does not have.
        lengths = sums.norm(dim=1, keepdim=True)
        self._prototypes = torch.where(lengths > 0, sums / lengths, self._prototypes)

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Remember the prototypes at the start of an epoch, for `margins: epoch_start`."""
        self._epoch_start_prototypes = self._prototypes

    def state(self) -> dict[str, Tensor]:
        """The prototypes (C, D), and those at the epoch's start if margins are measured there."""
        state = {"prototypes": self._prototypes.clone()}
        if self.options.margins == "epoch_start":
            state["epoch_start_prototypes"] = self._epoch_start_prototypes.clone()
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)
        if self.options.margins == "epoch_start":
            kept = state["epoch_start_prototypes"]
            self._epoch_start_prototypes = kept.to(self.context.device)
