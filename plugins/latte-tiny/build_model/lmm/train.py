"""The training loop: everything but the image tower learns, for a given time."""

from __future__ import annotations

import logging
import math
import random
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .batches import Batches
from .model import IMAGE_TOKENS, write
from .packing import loss_of
from .projector import shift_input

log = logging.getLogger(__name__)
MIX = {
    "scene": 0.12,
    "photo": 0.2,
    "stamp": 0.1,
    "made": 0.38,
    "group": 0.07,
    "made-group": 0.1,
    "several": 0.03,
}


def fit(
    model: Any,
    processor: Any,
    batches: Batches,
    folder: Path,
    *,
    seconds: float,
    size: int = 16,
    rate: float = 1.5e-3,
    few: int = 18,
    full_from: float = 0.72,
    seed: int = 0,
) -> None:
    """Train everything but the image tower for `seconds`, and write `folder` now and then.

    Until `full_from` of the time, a picture is shown by `few` of its tokens, drawn anew.
    """
    torch.manual_seed(seed)
    draw = random.Random(seed)
    model.model.vision_tower.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(_rates(model, rate), weight_decay=0.02, betas=(0.9, 0.98))
    rates = [group["lr"] for group in optimizer.param_groups]
    began, step, saved = time.monotonic(), 0, 0.0
    center = batches.pictures.center
    recent: dict[str, list[float]] = defaultdict(list)
    while (done := (time.monotonic() - began) / seconds) < 1:
        warm = min(1.0, (step + 1) / 60)
        share = warm * (0.02 + 0.98 * math.cos(math.pi * done / 2) ** 2)
        for group, highest in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = share * highest
        kind = draw.choices(list(MIX), list(MIX.values()))[0]
        batch = batches.batch(kind, size // 2 if "group" in kind else size)
        batch = replace(batch, tokens=batch.tokens - center)
        loss = loss_of(model, processor, batch, few if done < full_from else IMAGE_TOKENS)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        recent[kind].append(loss.item())
        step += 1
        if step % 50 == 0:
            losses = " ".join(f"{k} {sum(v) / len(v):.2f}" for k, v in sorted(recent.items()))
            log.info("step %d, %.0f%%: %s", step, 100 * done, losses)
            recent.clear()
        if done - saved > 0.05:
            saved = done
            _write(model, processor, folder, center)
    _write(model, processor, folder, center)


def _write(model: Any, processor: Any, folder: Path, center: Tensor) -> None:
    """Write the model for tokens as they come from the tower."""
    shift_input(model.model.multi_modal_projector, -center)
    write(model, processor, folder)
    shift_input(model.model.multi_modal_projector, center)


def _rates(model: Any, rate: float) -> list[dict[str, Any]]:
    """What starts from something learned moves slowly, so that it is not overwritten at first."""
    slow = {
        "multi_modal_projector": 0.02 * rate,
        "embed_tokens": 0.2 * rate,
    }
    groups: dict[float, list[Any]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[next((r for part, r in slow.items() if part in name), rate)].append(parameter)
    return [{"params": parameters, "lr": its} for its, parameters in groups.items()]
