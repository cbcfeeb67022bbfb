"""One training step of one learner: the same for every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.backbone.precision import backward_in
from latte.interfaces import Batch, LabelStream, PrototypeAggregator, Supervision
from latte.train.checked import (
    check_finite,
    check_loss,
    check_ranges,
    check_streams,
    check_supervision,
    checked_classifier,
    starts_epoch,
)
from latte.train.encoding import Constant, InputT, StepImages, TowerEncoder
from latte.train.features import StepInputs, StepTexts, description_features
from latte.train.gradcache import GradCache
from latte.train.learner import Learner
from latte.train.shared import Shared, keep_once, sum_gradients
from latte.train.timing import BACKWARD, IMAGES, LOSS, OPTIMISER, PROTOTYPES, timed


@dataclass(frozen=True)
class StepOutcome:
    """Loss and label agreement of a step, as tensors on the device until the log is written."""

    loss: Tensor
    agreement: Tensor | None
    """Share of images to which the first two label streams give the same class."""


def training_step(
    learner: Learner, inputs: StepInputs, batch: Batch, pixels: Tensor | None
) -> StepOutcome:
    """Encode and label a batch, compute the loss, and update weights and prototypes.

    `pixels` (P, 3, S, S) are the views that this process encodes; None if the learner needs none.
    """
    images = _in_step(learner, learner.images, _share_of_images)
    texts = _in_step(learner, learner.texts, distributed.share)
    if learner.optimizer is not None:  # frees the memory of gradients before the forward pass
        learner.optimizer.zero_grad(set_to_none=True)
    with timed(IMAGES):
        image_features = images.encode(StepImages(batch.indices, pixels))
    starts, on_cpu = starts_epoch(learner, batch), image_features.device.type == "cpu"
    reads = starts or on_cpu
    if starts:
        checked_classifier(learner, inputs.classes, reads=on_cpu)
    supervisions = _supervise(learner, texts, inputs, batch, image_features.detach(), reads=reads)
    with timed(LOSS):
        losses = _losses(learner, image_features, supervisions)
        if on_cpu:
            check_finite(learner, supervisions, losses, image_features)
        loss = torch.stack(losses).sum() if losses else image_features.sum() * 0.0
    if learner.optimizer is not None and loss.requires_grad:
        _update_weights(learner, learner.optimizer, (images, texts), loss)
    with timed(PROTOTYPES):
        learner.aggregator.update(supervisions)
    agreement = None
    if len(supervisions) > 1:
        first_labels, second_labels = (
            supervision.stream.labels for supervision in supervisions[:2]
        )
        agreement = (first_labels == second_labels).float().mean()
    return StepOutcome(loss.detach(), agreement)


def _supervise(
    learner: Learner,
    encoder: TowerEncoder[Sequence[str]],
    inputs: StepInputs,
    batch: Batch,
    image_features: Tensor,
    *,
    reads: bool,
) -> list[Supervision]:
    """Label the batch and choose its texts; return one `Supervision` per label stream."""
    # To look features up is faster than to find equal texts.
    is_constant = isinstance(encoder, Constant)
    encode = encoder.encode if is_constant else StepTexts(encoder.encode).encode
    aggregator = learner.aggregator
    if aggregator.class_features_refresh == "step":
        aggregator.refresh_class_features(inputs.class_texts.features(encode))
    streams = _assign(inputs, batch, image_features, aggregator, reads=reads)
    columns = [
        inputs.bank.rows(name, batch.indices, labels, batch.epoch, inputs.seed)
        for labels in _labels_for_texts(inputs, streams)
        for name in inputs.descriptions
    ]
    features = iter(description_features(columns, inputs.bank, encode))
    with timed(PROTOTYPES):
        supervisions = [
            aggregator.supervise(
                stream, {name: next(features) for name in inputs.descriptions}, image_features
            )
            for stream in streams
        ]
    for supervision in supervisions:
        check_supervision(aggregator, supervision, image_features, inputs.classes)
    bias = learner.backbone.logit_bias
    return [replace(supervision, logit_bias=bias) for supervision in supervisions]


def _assign(
    inputs: StepInputs,
    batch: Batch,
    image_features: Tensor,
    aggregator: PrototypeAggregator[Any],
    *,
    reads: bool,
) -> list[LabelStream]:
    """Return the label streams of all labelers, after a check; `reads` adds a check of numbers."""
    labelers, streams = [], []
    for labeler in inputs.labelers:
        assigned = labeler.assign(batch, image_features, aggregator)
        check_streams(labeler, assigned, image_features)
        labelers += [labeler] * len(assigned)
        streams += assigned
    if reads:
        check_ranges(labelers, streams, inputs.classes)
    return streams


def _losses(
    learner: Learner, image_features: Tensor, supervisions: Sequence[Supervision]
) -> list[Tensor]:
    """Return the loss of each label stream, times the scale of the stream."""
    assert learner.loss is not None, "a recipe with steps has a loss"
    scale = learner.backbone.logit_scale
    losses = []
    for supervision in supervisions:
        loss = learner.loss(image_features, supervision, scale)
        check_loss(learner.loss, loss, image_features)
        losses.append(supervision.stream.scale * loss)
    return losses


def _labels_for_texts(
    inputs: StepInputs, streams: Sequence[LabelStream]
) -> Sequence[Tensor | None]:
    """Return the labels (B,) of each stream on the CPU; None if no text depends on labels.

    All labels are copied in one transfer, because each transfer waits until the GPU has encoded the
    images.
    """
    if not streams or inputs.bank.of_class.isdisjoint(inputs.descriptions):
        return [None] * len(streams)
    return torch.stack([stream.labels for stream in streams]).cpu().unbind()


def _in_step(
    learner: Learner, encoder: TowerEncoder[InputT], share: Callable[[InputT], InputT]
) -> TowerEncoder[InputT]:
    """Return the encoder of one step: in micro-batches, and divided among several processes."""
    if isinstance(encoder, Constant):
        return encoder
    arithmetic, device = learner.arithmetic, learner.device
    if learner.micro_batch_size is not None:
        encoder = GradCache(encoder, learner.micro_batch_size, arithmetic, device)
    if distributed.world_size() > 1:
        width = learner.backbone.embedding_width
        encoder = Shared(encoder, share, width, arithmetic, device)
    return encoder


def _share_of_images(images: StepImages) -> StepImages:
    """Return this process's share; the pixels are already those of the share."""
    return StepImages(distributed.share(images.indices), images.pixels)


def _update_weights(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    encoders: Sequence[TowerEncoder[Any]],
    loss: Tensor,
) -> None:
    with timed(BACKWARD):
        with backward_in(learner.arithmetic):
            learner.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if distributed.world_size() > 1:
            keep_once(learner.parameters)
        for encoder in encoders:
            encoder.backward()
        if distributed.world_size() > 1:
            sum_gradients(learner.parameters)
    with timed(OPTIMISER):
        if learner.gradient_clip is not None:
            learner.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(learner.parameters.values(), learner.gradient_clip)
        learner.scaler.take_step(optimizer)
        learner.backbone.clamp_logit_scale()
