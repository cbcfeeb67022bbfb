"""Built-in prototypes: class texts, LatteCLIP's momentum, and estimates without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from latte.api import (
    Classifier,
    Context,
    EpochInfo,
    EstimatedPrototypes,
    LabelStream,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
    mix_descriptions,
    row_blocks,
    shift_to_texts,
)
from latte.components.options import (
    MomentumOptions,
    ReEstimatedOptions,
    TemplateOptions,
)

_ROUNDING_ERRORS = 8
"""Norm of a mean of unit rows that cancel out, as a multiple of the number format's epsilon."""


class TemplatePrototypes(PrototypeAggregator[TemplateOptions]):
    """One prototype per class: the text feature of its template.

    Without training, these prototypes are the zero-shot classifier. With `refresh: step`, the loss
    also trains the text tower, as in FLYP and in ReCLIP's text branch; with `start` or `epoch`, it
    trains only the image tower.
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
        """Replace the prototypes by class text features (C, D), which may carry a gradient."""
        self._features = class_features.to(self.context.device)

    def classifier(self) -> Classifier:
        """Return the current features of the class texts (C, D), without gradient."""
        return Classifier(self._features.detach(), self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets (B, D): for each image, the text feature of its label."""
        targets = self._features[stream.labels]
        return Supervision(stream, targets, Classifier(self._features, self._owners))

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Free the autograd graph of the step; do not change the prototypes."""
        self._features = self._features.detach()

    def state(self) -> dict[str, Tensor]:
        """Return the features of the class texts (C, D)."""
        return {"class_features": self._features.detach().clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self.refresh_class_features(state["class_features"])


class MomentumPrototypes(PrototypeAggregator[MomentumOptions]):
    """Prototypes that move, with momentum, towards the texts about their images (LatteCLIP).

    The target of an image is the prototype of its label, moved towards the weighted mean of the
    image's text features. After a step, the prototype of a class becomes the mean of its targets,
    scaled to unit length. `update` creates a new tensor of prototypes, so tensors that were
    returned earlier do not change.
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
        """Return one target per image, (B, D): the prototype of its label, moved towards its texts.

        A target is z = P[c] + alpha (u - P[c]). P[c] is the prototype of the image's label c, u is
        the weighted mean of the image's text features, and alpha is 1 - momentum. The gradient
        flows through u only. The norm of z is slightly below 1. Without texts, z is P[c], and
        prototypes do not change.
        """
        own = self._prototypes[stream.labels]
        targets = torch.lerp(own, self._mix(texts), 1 - self.options.momentum) if texts else own
        return Supervision(stream, targets, self.classifier())

    def _mix(self, texts: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted mean u (B, D) of each image's text features.

        The result has the prototypes' dtype, because half precision would round small changes away.
        """
        features = {name: text.to(self._prototypes.dtype) for name, text in texts.items()}
        if self.options.mixer == "mean":
            return mix_descriptions(features, self._weights, None)
        now = self.options.margins == "current"
        prototypes = self._prototypes if now else self._epoch_start_prototypes
        classifier = Classifier(prototypes, self._owners)
        return mix_descriptions(features, self._weights, classifier)

    @torch.no_grad()
    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Set each class's prototype to the weighted mean of its targets, scaled to unit length.

        The targets of all label streams (sources of labels) count: an image with the same class in
        two streams counts twice. A class keeps its prototype if it has no image of positive weight,
        or if its targets cancel out up to rounding.
        """
        sums = torch.zeros_like(self._prototypes)
        totals = torch.zeros_like(sums[:, :1])
        for supervision in supervisions:
            assert supervision.targets is not None, "not a supervision of these prototypes"
            weights = supervision.stream.weights.to(sums.dtype).unsqueeze(1)
            sums.index_add_(0, supervision.stream.labels, supervision.targets * weights)
            totals.index_add_(0, supervision.stream.labels, weights)
        # Mean and sum have the same direction.
        lengths = sums.norm(dim=1, keepdim=True)
        usable = lengths > _ROUNDING_ERRORS * torch.finfo(sums.dtype).eps * totals
        self._prototypes = torch.where(usable, sums / lengths, self._prototypes)

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Store the current prototypes for the option `margins: epoch_start`."""
        self._epoch_start_prototypes = self._prototypes

    def state(self) -> dict[str, Tensor]:
        """Return the prototypes (C, D).

        With `margins: epoch_start`, also return the prototypes at the start of the epoch.
        """
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


_AT_REST = 1e-6
"""Updates stop when no entry of the prototypes changes by more than this value."""


class ReEstimatedPrototypes(EstimatedPrototypes[ReEstimatedOptions]):
    """LatteCLIP's prototype update over the whole training set, repeated until a fixed point.

    The towers are frozen, and there are no training steps. LatteCLIP itself changes mainly its
    prototypes: at the published learning rate, its towers hardly change.
    """

    @torch.no_grad()
    def estimate(self, start: TrainingStart) -> Tensor:
        """Return the zero-shot prototypes (C, D) after at most `rounds` updates."""
        options = MomentumOptions(momentum=self.options.momentum, mixer=self.options.mixer)
        moving = MomentumPrototypes(options, self.context)
        moving.start(start)
        prototypes = moving.classifier().weights
        features = start.image_features.to(prototypes)
        images = features + shift_to_texts(features, prototypes)
        blocks = [*row_blocks(len(features), len(prototypes))]
        for _ in range(self.options.rounds):
            before = prototypes
            current = torch.cat([moving.similarities(features[rows]).argmax(1) for rows in blocks])
            streams = {"frozen": start.zero_shot_labels.to(current), "current": current}
            supervisions = [
                supervision
                for name, labels in streams.items()
                for supervision in self._of_stream(name, labels, moving, start, images)
            ]
            moving.update(supervisions)
            prototypes = moving.classifier().weights
            if torch.allclose(prototypes, before, rtol=0.0, atol=_AT_REST):
                break
        return prototypes

    def _of_stream(
        self,
        name: str,
        labels: Tensor,
        moving: MomentumPrototypes,
        start: TrainingStart,
        images: Tensor,
    ) -> list[Supervision]:
        """Return the supervision by texts and the supervision by image features of a label stream.

        A target is the prototype of the image's label, moved towards the image's texts or its
        feature. The supervision by texts has the weight 1 - `image_weight`, the supervision by
        image features has `image_weight`. A supervision with weight 0 is left out.
        """
        share = self.options.image_weight
        supervisions = []
        if share < 1:
            texts = {text: row.to(images) for text, row in start.texts(labels).items()}
            stream = LabelStream(name, labels, images.new_full((len(labels),), 1 - share))
            supervisions.append(moving.supervise(stream, texts, images))
        if share > 0:
            own = moving.classifier().weights[labels]
            targets = torch.lerp(own, images, 1 - self.options.momentum)
            stream = LabelStream(name, labels, images.new_full((len(labels),), share))
            supervisions.append(Supervision(stream, targets))
        return supervisions
