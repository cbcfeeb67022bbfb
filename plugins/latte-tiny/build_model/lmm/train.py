"""Training loop in which the language model learns the words around the class name."""

from __future__ import annotations

import logging
import math
import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from .batches import Batches
from .model import write
from .packing import loss_of

log = logging.getLogger(__name__)
OBJECTS_FIRST = {
    "scene": 0.14,
    "photo": 0.28,
    "stamp": 0.22,
    "made": 0.18,
    "group": 0.07,
    "several": 0.02,
    "made-group": 0.06,
    "made-several": 0.03,
}
"""Probability of each kind of batch in the first phase of training."""
MORE_SCENES = {
    "scene": 0.46,
    "photo": 0.18,
    "stamp": 0.12,
    "made": 0.1,
    "group": 0.05,
    "several": 0.02,
    "made-group": 0.04,
    "made-several": 0.03,
}
FINE_FROM = 0.9
"""After this share of the steps, pictures are shown with all of their tokens."""


def fit(
    model: Any,
    processor: Any,
    batches: Batches,
    folder: Path,
    *,
    steps: int,
    mix: dict[str, float],
    rate: float,
    size: int = 16,
    seed: int = 0,
) -> None:
    """Train the weights that are not frozen, and save the model to `folder` regularly.

    In the last tenth of the steps, pictures are shown with all of their tokens.
    """
    torch.manual_seed(seed)
    draw = random.Random(seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(_rates(model, rate), weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share(step, steps))
    recent: dict[str, list[float]] = defaultdict(list)
    for step in range(steps):
        kind = draw.choices(list(mix), list(mix.values()))[0]
        smaller = "group" in kind or "several" in kind
        batch = batches.batch(kind, size // 2 if smaller else size, fine=step >= FINE_FROM * steps)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, processor, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        recent[kind].append(loss.item())
        if step % 50 == 49:
            losses = " ".join(f"{k} {sum(v) / len(v):.2f}" for k, v in sorted(recent.items()))
            log.info("step %d, %.0f CPU s: %s", step + 1, time.process_time(), losses)
            recent.clear()
        if step % 500 == 499:
            write(model, processor, folder)
    write(model, processor, folder)


def share(step: int, steps: int) -> float:
    """Return the learning rate at a step, relative to the highest: short warm-up, then cosine."""
    rise = min(1.0, (step + 1) / 40)
    return rise * (0.02 + 0.98 * math.cos(math.pi * step / steps / 2) ** 2)


def _rates(model: Any, rate: float) -> list[dict[str, Any]]:
    """Return parameter groups with lower learning rates for embeddings and output weights.

    Embeddings have lower rates because they start from MiniLM features. The output weights of the
    layers have lower rates because the norms divide by a constant, and so do not bound the residual
    stream.
    """
    slower = {"embed_tokens": 0.5, "o_proj": 0.3, "down_proj": 0.3}
    groups: dict[float, list[Any]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((part for key, part in slower.items() if key in name), 1.0)
            groups[factor * rate].append(parameter)
    return [{"params": parameters, "lr": its} for its, parameters in groups.items()]
