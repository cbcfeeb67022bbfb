"""LatteCLIP (Cao et al., WACV 2025, arXiv 2410.08211), section 3: the whole method, step by step.

The texts (section 3.1) are the recipe's: `descriptions: [class, image, {use: group, size: 4}]`.
With class prototypes P_1 ... P_C, which start as the zero-shot classifier, one image x of a batch:

    f       = image tower(augmented x)                    (D,), unit length like t, P; not u, z
    c_zs    = argmax_c <zero-shot text of c, frozen f>    label before training, never changes
    c_ft    = argmax_c <P_c, f>                           label by the current prototypes
  for c = c_zs and for c = c_ft (two label streams):
    t_k     = text tower(text k)                          template of c; text about x; text about a
                                                          group of images that share c_zs
    m_k     = <t_k, nearest P> - <t_k, second P> + 1e-6   margin, without gradient; not about c
    u       = sum_k w_k m_k t_k / sum_k w_k m_k           dynamic feature mixer; w_k: the recipe's
    z       = P_c + alpha (u - P_c)                       target of x; alpha = 1 - momentum
    loss    = lambda * (CE(s f Z^T) + CE(s Z f^T)) / 2    s: logit scale; Z: targets of the batch
    P_c    <- unit mean of the targets of class c         over both streams, after each step

The engine calls, once per step: `assign` of each labeler, `supervise` for each label stream, the
loss, the backward pass and the optimiser, and `update` with the same targets. Gradients reach the
image tower through f and the text tower through u; s is trained, too (`trainable: all`). In the
end, the prototypes classify images. Prompts, views and optimiser are in `recipes/dtd.yaml` and what
it extends. To change the method, copy this file into a plugin: it needs `latte.api` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from latte.api import (
    Batch,
    Classifier,
    EpochInfo,
    LabelStream,
    Loss,
    NoOptions,
    Options,
    PrototypeAggregator,
    PseudoLabeler,
    Refresh,
    Supervision,
    TrainingStart,
    full_stream,
    rows_per_block,
)

MARGIN_FLOOR = 1e-6
"""Added to every margin, so that a text equally near to two classes has a weight above 0."""
_ROUNDING_ERRORS = 8
"""Norm of a mean of unit rows that cancel out, as a multiple of the number format's epsilon."""


class StreamOptions(Options):
    """Options of the labelers `frozen` and `current`: the weight of their label stream."""

    weight: float = Field(
        default=1.0,
        ge=0.0,
        description="multiplies this stream's loss (lambda_zs, lambda_ft in the paper); 0: no such "
        "stream, neither for the loss nor for the prototypes",
    )


class MomentumOptions(Options):
    """Options of the prototypes `momentum`; defaults are taken from LatteCLIP."""

    momentum: float = Field(
        default=0.99, ge=0.0, le=1.0, description="weight of the old prototype in a target"
    )
    mixer: Literal["dynamic", "mean"] = Field(
        default="dynamic",
        description="how texts are averaged. dynamic: by the description's weight times the text's "
        "margin between its two nearest classes; mean: by the description's weight alone",
    )
    margins: Literal["current", "epoch_start"] = Field(
        default="current",
        description="prototypes for the margins: the current ones, or those at the start of the "
        "epoch as in the released code",
    )


# 1. Dual pseudo-labels


class FrozenLabeler(PseudoLabeler[StreamOptions]):
    """Assigns c_zs, the zero-shot class, to each training image."""

    refresh: Refresh = "never"

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot labels (N,) on the CPU, because a batch's indices are on the CPU."""
        self._labels = start.zero_shot_labels.cpu()

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return the zero-shot labels of the batch as stream `frozen`; none if `weight` is 0."""
        if self.options.weight == 0:
            return []
        labels = self._labels[batch.indices].to(image_features.device, non_blocking=True)
        return [full_stream("frozen", labels, image_features, self.options.weight)]


class CurrentLabeler(PseudoLabeler[StreamOptions]):
    """Assigns c_ft, the class whose prototype is nearest to the feature of the augmented image."""

    refresh: Refresh = "step"

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        """Return stream `current`: of equally near classes, the first; none if `weight` is 0."""
        if self.options.weight == 0:
            return []
        labels = aggregator.similarities(image_features).argmax(dim=1)
        return [full_stream("current", labels, image_features, self.options.weight)]


# 2. Dynamic feature mixer


def margins(texts: Tensor, classifier: Classifier | None) -> Tensor:
    """Return the margin (M,) of each unit text (M, D) between its two nearest classes.

    Without a classifier or with one class, all margins are 1. The result carries no gradient.
    """
    if classifier is None or classifier.classes == 1:
        return texts.new_ones(len(texts))
    blocks = torch.split(texts.detach(), rows_per_block(len(classifier.weights)))
    top_two = [classifier.similarities(block).topk(2, dim=1).values for block in blocks]
    return torch.cat([pair[:, 0] - pair[:, 1] + MARGIN_FLOOR for pair in top_two])


def mix(
    texts: Mapping[str, Tensor], weights: Mapping[str, float], classifier: Classifier | None
) -> Tensor:
    """Return u (B, D), the weighted mean of each image's texts, not scaled to unit length.

    `texts` has unit features (B, D) of each description, and `weights` has w_k (1 if absent).
    """
    factors = [margins(text, classifier) * weights.get(name, 1.0) for name, text in texts.items()]
    text_weights = torch.stack(factors).unsqueeze(2)
    return (torch.stack([*texts.values()]) * text_weights).sum(dim=0) / text_weights.sum(dim=0)


# 3. Prototypes with momentum


class MomentumPrototypes(PrototypeAggregator[MomentumOptions]):
    """Prototypes that move, with momentum, towards the texts about their images.

    `update` creates a new tensor, so prototypes that were returned earlier do not change.
    """

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier as the first prototypes."""
        self._prototypes = start.class_features.detach().to(self.context.device)
        self._epoch_start = self._prototypes
        self._owners = torch.arange(len(self._prototypes), device=self.context.device)
        self._weights = start.description_weights

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        """Store the current prototypes for the option `margins: epoch_start`."""
        self._epoch_start = self._prototypes

    def classifier(self) -> Classifier:
        """Return the current prototypes (C, D)."""
        return Classifier(self._prototypes, self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets z (B, D), whose gradient flows through u only. Without texts, z is P_c."""
        class_prototypes = self._prototypes[stream.labels]
        if not texts:
            return Supervision(stream, class_prototypes, self.classifier())
        # In the prototypes' dtype, because half precision would round small changes away.
        features = {name: text.to(class_prototypes.dtype) for name, text in texts.items()}
        prototypes = self._prototypes if self.options.margins == "current" else self._epoch_start
        judge = Classifier(prototypes, self._owners) if self.options.mixer == "dynamic" else None
        mixed = mix(features, self._weights, judge)
        targets = torch.lerp(class_prototypes, mixed, 1 - self.options.momentum)
        return Supervision(stream, targets, self.classifier())

    @torch.no_grad()
    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Set each prototype to the weighted mean of its class's targets, scaled to unit length.

        An image with the same class in both label streams counts twice. A class keeps its prototype
        if it has no image of positive weight, or if its targets cancel out up to rounding.
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
        has_direction = lengths > _ROUNDING_ERRORS * torch.finfo(sums.dtype).eps * totals
        self._prototypes = torch.where(has_direction, sums / lengths, self._prototypes)

    def state(self) -> dict[str, Tensor]:
        """Return the prototypes (C, D), and those for the margins if they are older ones."""
        state = {"prototypes": self._prototypes.clone()}
        if self.options.margins == "epoch_start":
            state["epoch_start_prototypes"] = self._epoch_start.clone()
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self._prototypes = state["prototypes"].to(self.context.device)
        if self.options.margins == "epoch_start":
            self._epoch_start = state["epoch_start_prototypes"].to(self.context.device)


# 4. Loss


class ContrastiveLoss(Loss[NoOptions]):
    """Mean of the image-to-target and the target-to-image cross-entropy, weighted by image.

    The target of each other image is a negative, even if both have the same label, as in CLIP. An
    image of weight 0 is excluded; it is not a negative of other images either.
    """

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss, a scalar, of unit features and targets (B, D); 0 if all weights are 0.

        Raises `LatteError` if `supervision` has no targets.
        """
        targets, weights = supervision.need_targets(), supervision.stream.weights
        is_removed = weights == 0
        # A removed image keeps the pair with itself, so that its cross-entropy is 0.
        positives = torch.eye(len(is_removed), dtype=torch.bool, device=is_removed.device)
        excluded_pairs = (is_removed.unsqueeze(0) | is_removed.unsqueeze(1)) & ~positives
        logits = logit_scale * image_features @ targets.T
        logits = logits.masked_fill(excluded_pairs, -torch.inf)
        by_image, by_target = (
            matrix.log_softmax(dim=1).diagonal() for matrix in (logits, logits.T)
        )
        losses = -(by_image + by_target) / 2
        weights = weights.to(losses.dtype)
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).tiny)
