"""The two parts of a tower: the trunk (all other layers) and the projection into the joint space.

On a CPU, a frozen image trunk processes a large batch in parts, which takes less memory and is
faster.
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.timm_model import TimmModel
from torch import Tensor, nn

from latte.backbone.packed import class_token_states, reads_class_token

_FEWEST_IMAGES = 32
"""Smallest number of images in a part: oneDNN rounds convolutions of 16 images differently."""
_RATES = ("p", "prob", "drop_prob", "drop_rate")
"""Attributes of modules of torch, timm and open_clip that hold a probability of dropout."""


def has_trunk(visual: Any) -> bool:
    """Return True for a tower in which only a projection follows the trunk."""
    if type(visual) is TimmModel:
        return len(visual.head) > 0 and not hasattr(visual.head, "pool")
    return reads_class_token(visual)


def trunk_width(visual: Any) -> int:
    """Return the width W of the states that `trunk_states` returns."""
    is_timm = type(visual) is TimmModel
    return int(visual.trunk.num_features if is_timm else visual.ln_post.normalized_shape[0])


def trunk_is_constant(visual: Any) -> bool:
    """Return True if no parameter of the trunk trains and it has no dropout."""
    after = "head." if type(visual) is TimmModel else "proj"
    trunk = [one for name, one in visual.named_parameters() if not name.startswith(after)]
    return not any(one.requires_grad for one in trunk) and not _has_dropout(visual, after)


def trunk_states(visual: Any, pixels: Tensor) -> Tensor:
    """Return the states (B, W), which the projection reads, of pixels (B, 3, S, S)."""
    whole = torch.is_grad_enabled() and not trunk_is_constant(visual)
    if whole or pixels.device.type != "cpu":
        return _states(visual, pixels)
    parts = pixels.tensor_split(max(1, len(pixels) // _FEWEST_IMAGES))
    return torch.cat([_states(visual, part) for part in parts])


def project(visual: Any, states: Tensor) -> Tensor:
    """Return features (B, D), not normalised, of states (B, W) that `trunk_states` returned."""
    if type(visual) is TimmModel:
        return visual.head(states)  # type: ignore[no-any-return]
    return states if visual.proj is None else states @ visual.proj


def _states(visual: Any, pixels: Tensor) -> Tensor:
    if type(visual) is TimmModel:
        return visual.trunk(pixels)  # type: ignore[no-any-return]
    return class_token_states(visual, pixels)


def _has_dropout(visual: nn.Module, after: str) -> bool:
    trunk = [one for name, one in visual.named_modules() if not name.startswith(after)]
    rates = [getattr(one, name, None) for one in trunk for name in _RATES]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)
