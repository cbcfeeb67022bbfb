"""A learner: one trained copy of the backbone with its prototypes, loss and optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from latte.backbone.precision import Arithmetic, LossScaler, choose_arithmetic
from latte.interfaces import Backbone, Loss, PrototypeAggregator
from latte.interfaces.provider import note_provider, provider_of
from latte.interfaces.settings import OptimizerSettings, Precision, TrainSettings
from latte.train.encoding import StepImages, TowerEncoder, live_images, live_texts


@dataclass
class Learner:
    """One copy of the backbone that is trained, with its prototypes, loss and optimiser."""

    name: str
    backbone: Backbone
    images: TowerEncoder[StepImages]
    texts: TowerEncoder[Sequence[str]]
    aggregator: PrototypeAggregator[Any]
    loss: Loss[Any] | None
    """The loss of each step; None only if the run takes no training step."""
    parameters: Mapping[str, nn.Parameter]
    """Trained parameters by name; those of the loss are named `loss.NAME`."""
    optimizer: torch.optim.Optimizer | None
    peak_learning_rate: float
    gradient_clip: float | None
    arithmetic: Arithmetic = "fp32"
    """Arithmetic of the two towers; labels, prototypes and losses are always in fp32."""
    micro_batch_size: int | None = None
    """Number of images or texts per forward pass of a tower; None for the whole batch."""
    checked_epoch: int | None = None
    """Last epoch in which numbers of components were read; see `latte.train.checked`."""

    @property
    def device(self) -> torch.device:
        """Device of the backbone."""
        return self.backbone.logit_scale.device

    @cached_property
    def scaler(self) -> LossScaler:
        """Loss scaler, active for fp16 only. Its state is saved in checkpoints."""
        return LossScaler(self.arithmetic, self.device)

    @property
    def may_have_diverged(self) -> bool:
        """True if a trained parameter is not finite, or if features may overflow, as in fp16.

        Waits for the device.
        """
        parameters = self.parameters.values()
        return self.arithmetic == "fp16" or not all(
            bool(parameter.isfinite().all()) for parameter in parameters
        )

    @property
    def trained_in_backbone(self) -> list[str]:
        """Names of the trained parameters of the backbone, without parameters of the loss."""
        return [*_without_loss(self.parameters, self.loss)]

    def similarities(self, image_features: Tensor) -> Tensor:
        """Return the similarities (B, C) of unit features (B, D) to classes, without gradient."""
        with torch.no_grad():
            return self.aggregator.similarities(image_features)


def build_learner(
    name: str,
    frozen: Backbone,
    select: Callable[[Backbone], Mapping[str, nn.Parameter]],
    aggregator: PrototypeAggregator[Any],
    loss: Loss[Any] | None,
    optimizer: OptimizerSettings,
    precision: Precision = "auto",
    micro_batch_size: int | None = None,
) -> Learner:
    """Return a learner with a copy of the frozen CLIP; `select` chooses trainable parameters."""
    backbone = frozen.fork()
    note_provider(backbone, provider_of(frozen))
    parameters = {**select(backbone), **loss_parameters(loss)}
    arithmetic = choose_arithmetic(precision, backbone.logit_scale.device)
    any_trains = bool(_without_loss(parameters, loss))
    return Learner(
        name=name,
        backbone=backbone,
        images=live_images(
            backbone, arithmetic, trains=any_trains and _image_tower_trains(backbone)
        ),
        texts=live_texts(backbone, arithmetic, trains=any_trains and _text_tower_trains(backbone)),
        aggregator=aggregator,
        loss=loss,
        parameters=parameters,
        optimizer=build_optimizer(parameters, optimizer) if parameters else None,
        peak_learning_rate=optimizer.learning_rate,
        gradient_clip=optimizer.gradient_clip,
        arithmetic=arithmetic,
        micro_batch_size=micro_batch_size,
    )


def loss_parameters(loss: Loss[Any] | None) -> dict[str, nn.Parameter]:
    """Return the trainable parameters of the loss, named `loss.NAME`."""
    parameters = {} if loss is None else loss.parameters()
    return {f"loss.{name}": parameter for name, parameter in parameters.items()}


def _without_loss(
    parameters: Mapping[str, nn.Parameter], loss: Loss[Any] | None
) -> Mapping[str, nn.Parameter]:
    loss_names = loss_parameters(loss)
    return {name: parameter for name, parameter in parameters.items() if name not in loss_names}


@torch.enable_grad()
def _image_tower_trains(backbone: Backbone) -> bool:
    """Return True if image features depend on trained parameters."""
    side = backbone.pixel_format.size
    pixels = torch.zeros(1, 3, side, side, device=backbone.logit_scale.device)
    return backbone.encode_images(pixels).requires_grad


@torch.enable_grad()
def _text_tower_trains(backbone: Backbone) -> bool:
    """Return True if text features depend on trained parameters."""
    return backbone.encode_texts(["a photo"]).requires_grad


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """Return an optimiser of `parameters`, without weight decay for biases and other vectors."""
    matrices = [parameter for parameter in parameters.values() if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters.values() if parameter.ndim < 2]
    kinds = ((matrices, settings.weight_decay), (vectors, 0.0))
    groups = [{"params": group, "weight_decay": decay} for group, decay in kinds if group]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon, fused=True
    )


def learning_rate_factor(step: int, total_steps: int, settings: TrainSettings) -> float:
    """Return the learning rate of step `step` (from 0), divided by the peak learning rate.

    It rises linearly during warm-up. Then it is constant, or follows half a cosine down to 0 at
    `total_steps` (Loshchilov & Hutter 2017, without restarts).
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * progress))
