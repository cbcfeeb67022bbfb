"""Checks of the values that labelers, prototypes and losses return in a training step.

Types, shapes, number formats and devices are checked in every step. Numbers are read in every step
on the CPU. On a GPU, reading waits for its work: only labels and weights are read, once per epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latte.interfaces import (
    Batch,
    Classifier,
    EpochInfo,
    LabelStream,
    Loss,
    Posterior,
    PrototypeAggregator,
    PseudoLabeler,
    Supervision,
)
from latte.interfaces.classifier import check_classifier
from latte.interfaces.provider import blaming
from latte.interfaces.returned import check_tensor, is_tensor

if TYPE_CHECKING:  # it imports the backbones, which a fit of frozen features does not need
    from latte.train.learner import Learner

_LABELS, _SUPERVISION, _LOSS = "its labels", "its supervision", "its loss"
_ROUNDING = 1e-4
"""Largest accepted error of rounding in a weight, which is between 0 and 1."""


def starts_epoch(learner: Learner, batch: Batch) -> bool:
    """Return True in the first step of an epoch, also after a resume; note the epoch."""
    is_first = learner.checked_epoch != batch.epoch
    learner.checked_epoch = batch.epoch
    return is_first


def check_streams(labeler: PseudoLabeler[Any], streams: object, image_features: Tensor) -> None:
    """Check what `assign` returned for image features (B, D), without reading numbers.

    Raises `LatteError` that names the labeler's package.
    """
    with blaming(labeler, _LABELS):
        if not isinstance(streams, Sequence):
            raise ValueError(f"they are of type {type(streams).__name__}, not list")
        for stream in streams:
            if not isinstance(stream, LabelStream):
                raise ValueError(f"one is of type {type(stream).__name__}, not LabelStream")
            _check_stream(stream, image_features)


def _check_stream(stream: LabelStream, image_features: Tensor) -> None:
    size, device = image_features.shape[:1], image_features.device
    check_tensor("labels", stream.labels, size, torch.int64, device)
    check_tensor("weights", stream.weights, size, device=device, wide=True)
    if not isinstance(stream.scale, int | float) or not math.isfinite(stream.scale):
        raise ValueError(f"the scale is {stream.scale!r}, not a finite float")
    if stream.posterior is not None:
        _check_soft_labels(stream.posterior, size[0], device)


def _check_soft_labels(posterior: Posterior, size: int, device: torch.device) -> None:
    if not isinstance(posterior, Posterior):
        raise ValueError(f"the posterior is of type {type(posterior).__name__}, not Posterior")
    labels: object = posterior.labels
    shape = tuple(labels.shape) if is_tensor(labels) else ()
    if len(shape) != 2 or shape[0] != size:
        raise ValueError(f"labels of the posterior have the shape {shape}, not ({size}, K)")
    check_tensor("labels of the posterior", labels, shape, torch.int64, device)
    probabilities = posterior.probabilities
    check_tensor("probabilities of the posterior", probabilities, shape, device=device, wide=True)


def check_ranges(
    labelers: Sequence[PseudoLabeler[Any]], streams: Sequence[LabelStream], classes: int
) -> None:
    """Check that labels are classes and weights are between 0 and 1. Reads all of them at once.

    `labelers` has the labeler of each stream. Raises `LatteError` that names its package.
    """
    if not streams:
        return
    bounds = [
        torch.stack([*stream.labels.aminmax(), *stream.weights.detach().aminmax()])
        for stream in streams
    ]
    for labeler, row in zip(labelers, torch.stack(bounds).tolist(), strict=True):
        with blaming(labeler, _LABELS):
            _check_bounds(row, classes)


def _check_bounds(bounds: Sequence[float], classes: int) -> None:
    lowest_label, highest_label, lowest_weight, highest_weight = bounds
    if lowest_label < 0 or highest_label >= classes:
        wrong_label = lowest_label if lowest_label < 0 else highest_label
        raise ValueError(f"the label {wrong_label:.0f} is none of {classes} classes, from 0 on")
    if not -_ROUNDING <= lowest_weight <= highest_weight <= 1 + _ROUNDING:
        raise ValueError(
            f"weights are from {lowest_weight:g} to {highest_weight:g}, not between 0 and 1"
        )


def check_supervision(
    aggregator: PrototypeAggregator[Any],
    supervision: object,
    image_features: Tensor,
    classes: int,
) -> None:
    """Check what `supervise` returned for image features (B, D), without reading numbers.

    Raises `LatteError` that names the package of the prototypes.
    """
    with blaming(aggregator, _SUPERVISION):
        if not isinstance(supervision, Supervision):
            raise ValueError(f"it is of type {type(supervision).__name__}, not Supervision")
        if not isinstance(supervision.stream, LabelStream):
            raise ValueError("it is not about the label stream that was passed to it")
        if supervision.targets is not None:
            shape, device = image_features.shape, image_features.device
            check_tensor("targets", supervision.targets, shape, device=device)
        if supervision.classifier is not None:
            width, device = image_features.shape[1], image_features.device
            check_classifier(supervision.classifier, classes, width, device, reads=False)


def check_loss(loss: Loss[Any], value: object, image_features: Tensor) -> None:
    """Check the loss of a label stream, without reading it.

    Raises `LatteError` that names the package of the loss.
    """
    with blaming(loss, _LOSS):
        if not is_tensor(value):
            raise ValueError(f"it is of type {type(value).__name__}, not Tensor")
        if value.shape != ():
            raise ValueError(f"it has the shape {tuple(value.shape)}, and is no scalar")
        if not value.is_floating_point():
            raise ValueError(f"it is {str(value.dtype).removeprefix('torch.')}, not float32")
        if value.device.type != image_features.device.type:
            raise ValueError(f"it is on {value.device}, not on {image_features.device}")
        if image_features.requires_grad and not value.requires_grad:
            raise ValueError("it has no gradient")


def check_finite(
    learner: Learner,
    supervisions: Sequence[Supervision],
    losses: Sequence[Tensor],
    image_features: Tensor,
) -> None:
    """Check that losses are finite. Raises `LatteError` that names the package that is at fault.

    If training may have diverged, numbers that are not finite are nobody's fault, and are left to
    the checks of features after training.
    """
    if not losses or all(torch.stack([*losses]).isfinite().tolist()):
        return
    if learner.may_have_diverged or not bool(image_features.isfinite().all()):
        return
    for supervision in supervisions:
        for name, values in _numbers(supervision):
            with blaming(learner.aggregator, _SUPERVISION):
                if not bool(values.isfinite().all()):
                    raise ValueError(f"{name} are not finite numbers")
    with blaming(learner.loss, _LOSS):
        raise ValueError("it is not a finite number, although all of its inputs are")


def checked_classifier(learner: Learner, classes: int, *, reads: bool = True) -> Classifier:
    """Return the learner's prototypes, one or several rows for each of `classes`.

    If `reads` is false, no number is read from the device. Raises `LatteError` that names the
    package of the prototypes.
    """
    aggregator, width = learner.aggregator, learner.backbone.embedding_width
    return usable_classifier(aggregator, classes, width, reads=reads, learner=learner)


def usable_classifier(
    aggregator: PrototypeAggregator[Any],
    classes: int,
    width: int,
    *,
    reads: bool = True,
    learner: Learner | None = None,
) -> Classifier:
    """Return the classifier of prototypes, after the checks of `checked_classifier`.

    Rows need not be finite if the training of the `learner` may have diverged.
    """
    classifier = aggregator.classifier()
    with blaming(aggregator, "its classifier"):
        check_classifier(classifier, classes, width, reads=reads)
        is_finite = not reads or classifier.weights.isfinite().all().tolist()
        # Last, because it waits for the device.
        if not is_finite and not (learner is not None and learner.may_have_diverged):
            raise ValueError("rows of the classifier are not finite numbers")
    return classifier


def check_epoch_info(
    labeler: PseudoLabeler[Any], info: object, classes: int, widths: Mapping[str, int]
) -> None:
    """Check what `on_epoch_start` returned. Raises `LatteError` that names the labeler's package.

    `widths` has the feature width of each learner and each encoder, by name.
    """
    with blaming(labeler, "what it returned for an epoch"):
        if not isinstance(info, EpochInfo):
            raise ValueError(f"it is of type {type(info).__name__}, not EpochInfo")
        for name, classifier in info.classifiers.items():
            if name not in widths:
                raise ValueError(f"there is no learner or encoder {name!r} for its classifier")
            try:
                check_classifier(classifier, classes, widths[name])
            except ValueError as error:
                raise ValueError(f"for {name}, {error}") from error
            if not classifier.weights.isfinite().all().tolist():
                raise ValueError(f"for {name}, rows of the classifier are not finite numbers")


def _numbers(supervision: Supervision) -> Iterator[tuple[str, Tensor]]:
    if supervision.targets is not None:
        yield "targets", supervision.targets
    if supervision.classifier is not None:
        yield "rows of the classifier", supervision.classifier.weights
