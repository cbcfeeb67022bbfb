"""Optimisers and learning rates, as functions of the settings and the step alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from latte.interfaces import Backbone, Loss, PrototypeAggregator, TrainableGroup
from latte.interfaces.settings import OptimizerSettings, Precision, TrainSettings
from latte.train.precision import Arithmetic, LossScaler, choose_arithmetic, forward_in
from latte.train.texts import CachedTexts


def build_optimizer(
    parameters: Mapping[str, nn.Parameter], settings: OptimizerSettings
) -> torch.optim.Optimizer:
    """An optimiser over `parameters`; biases, norms and other vectors get no weight decay."""
    matrices = [value for value in parameters.values() if value.ndim >= 2]
    vectors = [value for value in parameters.values() if value.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        fused=True,
    )


def learning_rate_factor(step: int, total_steps: int, settings: TrainSettings) -> float:
    """What the peak learning rate is multiplied by in step `step`, counted from 0.

    Linear warm-up, then half a cosine to 0 at `total_steps` (Loshchilov & Hutter 2017, without
    restarts), or constant.
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Give every parameter group the learning rate `value`."""
    for group in optimizer.param_groups:
        group["lr"] = value


# A learner: one adapted copy of the backbone with its prototypes, loss and optimiser.


@dataclass
class Learner:
    """What the loop trains; most recipes have one."""

    name: str
    backbone: Backbone
    parameters: Mapping[str, nn.Parameter]
    """What trains, by name; empty when only prototypes move."""
    aggregator: PrototypeAggregator[Any]
    loss: Loss[Any] | None
    """None only where there are no steps."""
    optimizer: torch.optim.Optimizer | None
    peak_learning_rate: float
    gradient_clip: float | None
    arithmetic: Arithmetic = "fp32"
    """Of the two towers; labels, prototypes and losses are always worked out in fp32."""
    micro_batch_size: int | None = None
    """Images or texts that pass through a tower at once; None: a whole batch."""
    constant_features: Tensor | None = None
    """(N, D) features of all training images, where neither views nor the image tower change."""
    constant_class_features: Tensor | None = None
    """(C, D) features of the class texts, where an aggregator asks for them in every step and the
    text tower does not change."""
    cached_texts: CachedTexts | None = None
    """Features of descriptions that are looked up instead of encoded in every step."""

    def image_features(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """Unit features (B, D) of the training images `indices`, whose views are `pixels`.

        Pixels (B, 3, S, S) may be missing where features are constant.
        """
        if self.constant_features is not None:
            return self.constant_features[indices.to(self.constant_features.device)]
        assert pixels is not None, "features that change are encoded from pixels"
        with self._forward():
            return self.backbone.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """M distinct texts -> unit features (M, D), with gradient where something trains."""
        with self._forward():
            return self.backbone.encode_texts(texts)

    def _forward(self) -> AbstractContextManager[Any]:
        return forward_in(self.arithmetic, self.device)

    @property
    def device(self) -> torch.device:
        """Where the backbone is."""
        return self.backbone.logit_scale.device

    @cached_property
    def scaler(self) -> LossScaler:
        """What keeps fp16 gradients from vanishing; its state is part of a checkpoint."""
        return LossScaler(self.arithmetic, self.device)

    @cached_property
    def image_tower_trains(self) -> bool:
        """Whether image features change during training; if not, they are encoded once."""
        if not self.parameters:
            return False
        side = self.backbone.pixel_format.size
        device = next(iter(self.parameters.values())).device
        with torch.enable_grad():
            features = self.backbone.encode_images(torch.zeros(1, 3, side, side, device=device))
        return features.requires_grad

    @cached_property
    def text_tower_trains(self) -> bool:
        """Whether text features change during training; if not, they are encoded once."""
        if not self.parameters:
            return False
        with torch.enable_grad():
            return self.backbone.encode_texts(["a photo"]).requires_grad

    def find_what_trains(self) -> None:
        """Now, by a forward pass, and not within a step, whose dropout it would change."""
        _ = self.image_tower_trains, self.text_tower_trains

    def similarities(self, image_features: Tensor) -> Tensor:
        """Unit features (B, D) -> cosine similarities (B, C), without gradient."""
        with torch.no_grad():
            return self.aggregator.similarities(image_features)


def build_learner(
    name: str,
    frozen: Backbone,
    trainable: TrainableGroup,
    aggregator: PrototypeAggregator[Any],
    loss: Loss[Any] | None,
    optimizer: OptimizerSettings,
    precision: Precision = "auto",
    micro_batch_size: int | None = None,
) -> Learner:
    """Fork the frozen CLIP and make the group `trainable` of the copy train."""
    backbone = frozen.fork()
    parameters = backbone.train_only(trainable)
    return Learner(
        name=name,
        backbone=backbone,
        parameters=parameters,
        aggregator=aggregator,
        loss=loss,
        optimizer=build_optimizer(parameters, optimizer) if parameters else None,
        peak_learning_rate=optimizer.learning_rate,
        gradient_clip=optimizer.gradient_clip,
        arithmetic=choose_arithmetic(precision, backbone.logit_scale.device),
        micro_batch_size=micro_batch_size,
    )
