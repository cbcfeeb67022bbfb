"""Optimisers and learning rates, as functions of the settings and the step alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from latte.interfaces.settings import OptimizerSettings, TrainSettings


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
