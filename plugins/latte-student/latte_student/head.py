"""Train the classifier of a network on fixed features, before the whole network is trained.

With few images, a random classifier would first destroy the weights that it starts from (Kumar et
al.: Fine-tuning can distort pretrained features, ICLR 2022).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from latte.api import Progress
from latte_student.batches import View, pixels_of
from latte_student.lesson import Lesson

_DECAYS = (1.0, 0.1, 0.01, 0.001)
"""Weights of the squared norm; the one with the smallest loss on left-out images is used."""
_ITERATIONS = 100


def fit_head(
    module: nn.Module, lesson: Lesson, view: View, size: int, device: str, progress: Progress
) -> None:
    """Fit the last layer of a network of timm to the soft labels; leave other networks as they are.

    The layer is a logistic regression on the features of the images as `view` shows them.
    """
    network: Any = module
    head = network.get_classifier()
    if not isinstance(head, nn.Linear) or not hasattr(network, "forward_head"):
        return
    rows = torch.cat([lesson.training, lesson.left_out])
    features = _features(network, lesson, rows, view, size, device, progress)
    mean = features.mean(dim=0)
    std = features.std(dim=0, correction=0).clamp_min(1e-6)
    targets, weights = lesson.targets[rows].double(), lesson.weights[rows].double()
    count = len(lesson.training)
    scaled = (features - mean) / std
    fits = [_fit(scaled[:count], targets[:count], weights[:count], decay) for decay in _DECAYS]
    if len(lesson.left_out):
        losses = [_loss(fit, scaled[count:], targets[count:], weights[count:]) for fit in fits]
        fit = fits[int(torch.stack(losses).argmin())]
    else:
        fit = fits[1]
    weight, bias = fit[:-1] / std.unsqueeze(1), fit[-1]
    with torch.no_grad():
        head.weight.copy_(weight.T)
        head.bias.copy_(bias - mean @ weight)


def _features(
    network: Any,
    lesson: Lesson,
    rows: Tensor,
    view: View,
    size: int,
    device: str,
    progress: Progress,
) -> Tensor:
    """Return the input (N, D) of the last layer, fp64 on the CPU."""
    network.eval()
    blocks = []
    with progress.task("features", len(rows), "images") as task, torch.inference_mode():
        for batch in torch.split(rows, 32):
            pixels = pixels_of(lesson.images, batch, view, size, 0).to(device)
            maps = network.forward_features(pixels.contiguous(memory_format=torch.channels_last))
            blocks.append(network.forward_head(maps, pre_logits=True).double().cpu())
            task.advance(len(batch))
    return torch.cat(blocks).clone()


def _fit(features: Tensor, targets: Tensor, weights: Tensor, decay: float) -> Tensor:
    """Return weights and, in the last row, bias (D + 1, C) of a regression, by L-BFGS."""
    fit = torch.zeros(
        features.shape[1] + 1, targets.shape[1], dtype=torch.float64, requires_grad=True
    )
    optimizer = torch.optim.LBFGS(
        [fit], max_iter=_ITERATIONS, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        # The squared norm is divided by the width, so that a decay means the same for all networks.
        penalty = decay * fit[:-1].square().sum() / features.shape[1]
        loss = _loss(fit, features, targets, weights) + penalty
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return fit.detach()


def _loss(fit: Tensor, features: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    logits = features @ fit[:-1] + fit[-1]
    losses = -(targets * log_softmax(logits, dim=1)).sum(dim=1)
    return (weights * losses).sum() / weights.sum()
