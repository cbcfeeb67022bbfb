"""ReCLIP's pseudo-labels: label propagation per learner, used where the learners agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from latte.api import (
    Batch,
    Classifier,
    EpochInfo,
    FeatureBank,
    LabelStream,
    LatteError,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    TrainingStart,
)
from latte_reclip.options import LabelPropagationOptions
from latte_reclip.propagation import Propagated, propagate


class LabelPropagationLabeler(PseudoLabeler[LabelPropagationOptions]):
    """Labeler that spreads labels from class texts to all images, at the start of every epoch.

    Labels are propagated once per learner (an adapted copy of the CLIP), with its features. If a
    learner re-encodes class texts (prototypes `templates` with `refresh: step` or `epoch`), labels
    spread from its adapted texts. Otherwise they spread from the zero-shot texts in all epochs.
    As published, ReCLIP trains the text tower of one learner and the image tower of another, so
    only the first of them uses adapted texts. An image that no label reaches has weight 0.
    """

    refresh: Refresh = "epoch"
    needs_feature_banks = True
    _zero_shot: Tensor

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier."""
        self._zero_shot = start.class_features.detach()
        self._labels: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_epoch_start(
        self,
        banks: Mapping[str, FeatureBank],
        aggregators: Mapping[str, PrototypeAggregator[Any]],
        epoch: int,
    ) -> EpochInfo:
        """Label all images per learner; return each learner's class centroids as its classifier.

        A centroid is the unit mean of all images and texts with the class as label, computed from
        the features before projection. Raises `LatteError` if no label reaches an image.
        """
        classifiers, reached = {}, {}
        for name, bank in banks.items():
            texts = self._text_nodes(name, aggregators[name]).to(bank.features)
            found = propagate(texts, bank.features, self.options)
            nodes = torch.cat([texts, bank.features])
            centroids = class_centroids(nodes, found.labels, found.reached, texts)
            owners = torch.arange(len(centroids), device=centroids.device)
            classifiers[name] = Classifier(centroids, owners)
            self._labels[name], reached[name] = self._of_images(name, found, len(texts))
        self._weights = self._counted(reached)
        return EpochInfo(classifiers)

    def _text_nodes(self, learner: str, aggregator: PrototypeAggregator[Any]) -> Tensor:
        if aggregator.class_features_refresh == "start":
            return self._zero_shot
        classifier = aggregator.classifier()
        if len(classifier.owners) != len(self._zero_shot):
            raise LatteError(
                f"label-propagation spreads from one text a class, and the prototypes of learner "
                f"{learner!r} have {len(classifier.owners)} for {len(self._zero_shot)} classes",
                hint="use prototypes with one vector a class, such as `templates`",
            )
        return classifier.weights[classifier.owners.argsort()]

    def _of_images(self, learner: str, found: Propagated, classes: int) -> tuple[Tensor, Tensor]:
        """Return labels (N,) and a mask (N,) of the images that a label reached, on the CPU."""
        reached = found.reached[classes:].cpu()
        if not bool(reached.any()):
            raise LatteError(
                f"label-propagation reaches none of the {len(reached)} images of learner "
                f"{learner!r}: the nearest neighbours of texts are texts, and of images images",
                hint="raise `neighbours`, or keep `projection: true`",
            )
        return found.labels[classes:].cpu(), reached

    def _counted(self, reached: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not self.options.agreement:
            return {name: one.float() for name, one in reached.items()}
        opinions = torch.stack(list(self._labels.values()))
        agreed = (opinions == opinions[0]).all(dim=0) & torch.stack(list(reached.values())).all(0)
        return dict.fromkeys(reached, agreed.float())

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return one label stream, `propagated`, with the labels and weights of this epoch."""
        labels = self._labels[batch.learner][batch.indices]
        weights = self._weights[batch.learner][batch.indices]
        labels = labels.to(image_features.device, non_blocking=True)
        weights = weights.to(image_features, non_blocking=True)
        return [LabelStream("propagated", labels, weights)]

    def state(self) -> dict[str, Tensor]:
        """Return each learner's labels (N,) and weights (N,) of this epoch."""
        labels = {f"labels.{name}": one.clone() for name, one in self._labels.items()}
        return labels | {f"weights.{name}": one.clone() for name, one in self._weights.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._labels = _below("labels.", state)
        self._weights = _below("weights.", state)


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {key.removeprefix(prefix): one for key, one in state.items() if key.startswith(prefix)}
    return {name: one.cpu() for name, one in named.items()}


def class_centroids(nodes: Tensor, labels: Tensor, counted: Tensor, texts: Tensor) -> Tensor:
    """Return the centroid (C, D) of each class: the unit mean of its texts and images.

    `nodes` (n, D) are the unit vectors of texts and images, and `labels` (n,) their classes. Only
    nodes with True in `counted` (n,) are averaged. A class without such nodes gets its text from
    `texts` (C, D) as centroid. Source: ReCLIP, section 3.3.
    """
    sums = torch.zeros_like(texts).index_add_(0, labels[counted], nodes[counted])
    lengths = sums.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, sums / lengths, texts)
