"""Image features of towers that read nothing but the class token in the end."""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor

from latte.backbone.blocks import Packing, can_run, run_blocks


def reads_class_token(visual: Any) -> bool:
    """True for open_clip's own vision transformer where it pools at the class token."""
    kind = type(visual)
    return (
        kind is VisionTransformer
        and visual.pool_type == "tok"
        and visual.attn_pool is None
        and not visual.output_tokens
        and can_run(visual.transformer)
    )


def class_token_features(visual: Any, pixels: Tensor) -> Tensor:
    """Pixels (B, 3, S, S) -> features (B, D), not normalised, equal to `visual(pixels)`.

    The tower must pass `reads_class_token`. Its last block computes the class token alone.
    """
    states = visual._embeds(pixels)
    count, length, width = states.shape
    first = torch.arange(0, count * length, length, device=states.device)
    packing = Packing([(count, length)], first, causal=False)
    read = run_blocks(visual.transformer, states.reshape(count * length, width), packing)
    pooled: Tensor = visual.ln_post(read)
    return pooled if visual.proj is None else pooled @ visual.proj
