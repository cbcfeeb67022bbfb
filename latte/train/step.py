"""One training step of one learner: the same for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latte.backbone.encode import ClassTexts
from latte.describe.bank import DescriptionBank
from latte.interfaces import Batch, LabelStream, PseudoLabeler, Supervision
from latte.train.learner import Learner
from latte.train.texts import StepTexts, description_features
from latte.train.timing import BACKWARD, IMAGES, OPTIMISER, timed
from latte.train.towers import Towers, towers_of


@dataclass(frozen=True)
class StepInputs:
    """What every step of a run reads."""

    labelers: Sequence[PseudoLabeler[Any]]
    bank: DescriptionBank
    descriptions: Sequence[str]
    """Names of the recipe's descriptions, in its order."""
    class_texts: ClassTexts
    """For aggregators that re-encode the classes."""
    seed: int


@dataclass(frozen=True)
class StepOutcome:
    """Figures of a step; tensors stay on the device until somebody reads them."""

    loss: Tensor
    agreement: Tensor | None
    """Share of samples to which the first two label streams give the same class."""


def training_step(
    learner: Learner, inputs: StepInputs, batch: Batch, pixels: Tensor | None
) -> StepOutcome:
    """Forward, backward, optimiser, prototypes: pixels (B, 3, S, S) of the images in `batch`."""
    towers = towers_of(learner)
    with timed(IMAGES):
        image_features = towers.encode_images(batch.indices, pixels)
    supervisions = _supervise(learner, towers, inputs, batch, image_features.detach())
    loss = _total_loss(learner, image_features, supervisions)
    if learner.optimizer is not None and loss.requires_grad:
        _update(learner, learner.optimizer, towers, loss)
    learner.aggregator.update(supervisions)
    return StepOutcome(loss.detach(), _agreement([one.stream for one in supervisions]))


def _supervise(
    learner: Learner, towers: Towers, inputs: StepInputs, batch: Batch, image_features: Tensor
) -> list[Supervision]:
    texts = StepTexts(towers.encode_texts)
    aggregator = learner.aggregator
    if aggregator.class_features_refresh == "step":
        constant = learner.constant_class_features
        fresh = inputs.class_texts.features(texts.encode) if constant is None else constant
        aggregator.refresh_class_features(fresh)
    streams = [
        stream
        for labeler in inputs.labelers
        for stream in labeler.assign(batch, image_features, aggregator)
    ]
    features = _descriptions(learner, texts, inputs, batch, streams)
    return [
        aggregator.supervise(stream, of_stream, image_features)
        for stream, of_stream in zip(streams, features, strict=True)
    ]


def _descriptions(
    learner: Learner,
    texts: StepTexts,
    inputs: StepInputs,
    batch: Batch,
    streams: Sequence[LabelStream],
) -> list[Mapping[str, Tensor]]:
    """For each stream: description name -> unit features (B, D), all from one encoding."""
    columns = [
        (name, inputs.bank.rows(name, batch.indices, stream.labels, batch.epoch, inputs.seed))
        for stream in streams
        for name in inputs.descriptions
    ]
    kept = learner.cached_texts
    features = iter(description_features(columns, inputs.bank, texts, kept, batch.step))
    return [{name: next(features) for name in inputs.descriptions} for _ in streams]


def _total_loss(
    learner: Learner, image_features: Tensor, supervisions: Sequence[Supervision]
) -> Tensor:
    assert learner.loss is not None, "a recipe with steps has a loss"
    scale = learner.backbone.logit_scale
    losses = [one.stream.scale * learner.loss(image_features, one, scale) for one in supervisions]
    return torch.stack(losses).sum() if losses else image_features.sum() * 0.0


def _update(
    learner: Learner, optimizer: torch.optim.Optimizer, towers: Towers, loss: Tensor
) -> None:
    optimizer.zero_grad(set_to_none=True)
    with timed(BACKWARD):
        towers.backward(learner.scaler.scaled(loss))
    with timed(OPTIMISER):
        if learner.gradient_clip is not None:
            learner.scaler.unscale(optimizer)
            torch.nn.utils.clip_grad_norm_(learner.parameters.values(), learner.gradient_clip)
        learner.scaler.step(optimizer)
        learner.backbone.clamp_logit_scale()


def _agreement(streams: Sequence[LabelStream]) -> Tensor | None:
    if len(streams) < 2:
        return None
    return (streams[0].labels == streams[1].labels).float().mean()
