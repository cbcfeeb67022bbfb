"""Test doubles of other methods, which show that the interfaces suffice for them.

`AgreementLabeler`, `StepTemplates` and `MaskedCrossEntropy`, with latte's own `from-labeler`, work
as ReCLIP does (two learners that must agree); `TwoPrototypes` has two vectors per class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from latte.components.latteclip import ContrastiveLoss
from latte.components.prototypes import TemplateOptions, TemplatePrototypes
from latte.interfaces import (
    Batch,
    Classifier,
    Context,
    EpochInfo,
    FeatureBank,
    LabelStream,
    Loss,
    NoOptions,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    Supervision,
    TrainingStart,
)


class AgreementLabeler(PseudoLabeler[NoOptions]):
    """Labels each learner's whole bank once per epoch; samples without agreement have weight 0."""

    refresh: Refresh = "epoch"
    needs_feature_banks = True

    def __init__(self, options: NoOptions, context: Context) -> None:
        super().__init__(options, context)
        self._labels: dict[str, Tensor] = {}
        self._agreed = torch.zeros(0, dtype=torch.bool)

    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        features = {name: bank.features.to(self.context.device) for name, bank in banks.items()}
        self._labels = {
            name: aggregators[name].similarities(rows).argmax(dim=1).cpu()
            for name, rows in features.items()
        }
        opinions = torch.stack(list(self._labels.values()))
        self._agreed = (opinions == opinions[0]).all(dim=0)
        return EpochInfo(
            {
                name: Classifier(
                    class_means(rows, self._labels[name], aggregators[name].classifier()),
                    aggregators[name].classifier().owners,
                )
                for name, rows in features.items()
            }
        )

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        labels = self._labels[batch.learner][batch.indices].to(image_features.device)
        return [LabelStream("agreement", labels, self._agreed[batch.indices].to(image_features))]

    def state(self) -> dict[str, Tensor]:
        labels = {f"labels.{name}": labels.clone() for name, labels in self._labels.items()}
        return {**labels, "agreed": self._agreed.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._agreed = state["agreed"]
        self._labels = {
            key.removeprefix("labels."): labels
            for key, labels in state.items()
            if key.startswith("labels.")
        }


def class_means(features: Tensor, labels: Tensor, old: Classifier) -> Tensor:
    """Return the unit mean feature of each class (C, D); for empty classes the row of `old`."""
    labels = labels.to(features.device)
    sums = torch.zeros_like(old.weights).index_add_(0, labels, features)
    empty = labels.bincount(minlength=old.classes) == 0
    return torch.where(empty.unsqueeze(1), old.weights, normalize(sums, dim=1))


class StepTemplates(TemplatePrototypes):
    """Class templates that are encoded again before every step, with gradient."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        super().__init__(TemplateOptions(refresh="step"), context)


class MaskedCrossEntropy(Loss[NoOptions]):
    """Cross-entropy over all classes at a fixed scale of 100; samples of weight 0 do not count."""

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        logits = 100 * supervision.need_classifier().similarities(image_features)
        each = cross_entropy(logits, supervision.stream.labels, reduction="none")
        weights = supervision.stream.weights
        return (each * weights).sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)


class TemperatureLoss(ContrastiveLoss):
    """Contrastive loss with a temperature of its own, which is trained."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        super().__init__(options, context)
        self.log_temperature = nn.Parameter(torch.zeros((), device=context.device))

    def parameters(self) -> Mapping[str, nn.Parameter]:
        return {"log_temperature": self.log_temperature}

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        scale = logit_scale.detach() / self.log_temperature.exp()
        return super().__call__(image_features, supervision, scale)


class TwoPrototypes(PrototypeAggregator[NoOptions]):
    """Two vectors per class: its template, and the mean of the images that zero-shot assigns to it.

    An image's target is the nearer one of its label. After a step, each chosen vector moves a tenth
    of the way to the mean of the images that chose it.
    """

    per_class = 2
    _weights: Tensor
    _owners: Tensor

    def start(self, start: TrainingStart) -> None:
        templates = start.class_features.detach()
        classes = torch.arange(len(templates), device=templates.device)
        images = class_means(
            start.image_features, start.zero_shot_labels, Classifier(templates, classes)
        )
        self._weights = torch.stack([templates, images], dim=1).flatten(0, 1)
        self._owners = classes.repeat_interleave(self.per_class)

    def classifier(self) -> Classifier:
        return Classifier(self._weights, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        rows = self._chosen_rows(stream, image_features)
        return Supervision(
            stream,
            targets=torch.lerp(self._weights[rows], image_features, 0.1),
            classifier=Classifier(self._weights, self._owners),
        )

    def _chosen_rows(self, stream: LabelStream, features: Tensor) -> Tensor:
        """Return the row (B,) of the nearer prototype of each sample's label."""
        candidates = self._weights.view(-1, self.per_class, features.shape[1])[stream.labels]
        nearer = (candidates @ features.unsqueeze(2)).squeeze(2).argmax(dim=1)
        return stream.labels * self.per_class + nearer

    @torch.no_grad()
    def update(self, supervisions: Sequence[Supervision]) -> None:
        sums = torch.zeros_like(self._weights)
        for supervision in supervisions:
            assert supervision.targets is not None
            # A target is still nearest to the prototype that it was made from.
            rows = self._chosen_rows(supervision.stream, supervision.targets)
            weights = supervision.stream.weights.to(sums.dtype).unsqueeze(1)
            sums.index_add_(0, rows, supervision.targets * weights)
        is_taught = sums.norm(dim=1, keepdim=True) > 0
        self._weights = torch.where(is_taught, normalize(sums, dim=1), self._weights)

    def state(self) -> dict[str, Tensor]:
        return {"prototypes": self._weights.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._weights = state["prototypes"].to(self.context.device)
