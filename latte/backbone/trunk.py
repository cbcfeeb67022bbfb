"""Split an image tower into frozen layers, whose outputs can be cached, and the other layers.

The trunk is all layers before the projection. In this module, states are outputs of the trunk, or
outputs of its frozen layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from open_clip.timm_model import TimmModel
from timm.models import checkpoint_seq
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from latte.backbone.packed import class_token_of, reads_class_token, token_states

_FEWEST_IMAGES = 32
"""Smallest part of a batch; with 16 images, oneDNN's convolutions round differently."""
_RATES = ("p", "prob", "drop_prob", "drop_rate")
"""Attributes in which modules of torch, timm and open_clip store a dropout probability."""


def has_trunk(visual: Any) -> bool:
    """Return True if latte can split this image tower into a trunk and a projection after it."""
    if type(visual) is TimmModel:
        return len(visual.head) > 0 and not hasattr(visual.head, "pool")
    return reads_class_token(visual)


def trunk_width(visual: Any) -> int:
    """Return the width W of the trunk's outputs."""
    is_timm = type(visual) is TimmModel
    return int(visual.trunk.num_features if is_timm else visual.ln_post.normalized_shape[0])


def trunk_is_constant(visual: Any) -> bool:
    """Return True if all parameters of the trunk are frozen and it has no dropout."""
    later_layers = ("head.",) if type(visual) is TimmModel else ("proj",)
    return not any(trained_parameters(visual, later_layers)) and not _has_dropout(
        visual, later_layers
    )


def frozen_blocks(visual: Any) -> int:
    """Return the number of frozen image blocks before the first trained block.

    The output of these blocks can be cached. The number is 0 if no block is trained, if an earlier
    layer is trained or has dropout, or if the tower is not supported. Supported are open_clip's
    vision transformers that output the class token, and timm's EfficientNets.
    """
    later_layers: tuple[str, ...]
    if type(visual) is TimmModel and type(visual.trunk) is EfficientNet:
        blocks, later_layers = "trunk.blocks.", ("trunk.conv_head.", "trunk.bn2.", "head.")
    elif type(visual) is not TimmModel and reads_class_token(visual):
        blocks, later_layers = "transformer.resblocks.", ("ln_post.", "proj")
    else:
        return 0
    trained_indices = trained_blocks(visual, blocks, later_layers)
    if not trained_indices:
        return 0
    trained_prefixes = tuple(
        f"{blocks}{number}." for number in range(min(trained_indices), max(trained_indices) + 1)
    )
    return 0 if _has_dropout(visual, (*later_layers, *trained_prefixes)) else min(trained_indices)


def trained_blocks(tower: nn.Module, blocks: str, later_layers: tuple[str, ...]) -> set[int]:
    """Return the indices of the trained blocks; empty if a layer before the blocks is trained.

    Parameter names of blocks start with `blocks`; names of layers after the blocks start with a
    prefix in `later_layers`.
    """
    trained_names = list(trained_parameters(tower, later_layers))
    if not all(name.startswith(blocks) for name in trained_names):
        return set()
    return {int(name.removeprefix(blocks).split(".")[0]) for name in trained_names}


def block_states(visual: Any, pixels: Tensor, count: int) -> Tensor:
    """Return the outputs (B, ...) of the first `count` blocks for pixels (B, 3, S, S)."""
    if type(visual) is not TimmModel:
        return token_states(visual, pixels, count)
    trunk: Any = visual.trunk
    return trunk.blocks[:count](trunk.bn1(trunk.conv_stem(pixels)))  # type: ignore[no-any-return]


def states_after(visual: Any, states: Tensor, count: int) -> Tensor:
    """Run the rest of the trunk on outputs (B, ...) of its first `count` blocks; return (B, W)."""
    if type(visual) is not TimmModel:
        return class_token_of(visual, states, count)
    trunk: Any = visual.trunk
    blocks = trunk.blocks[count:]
    recompute = trunk.grad_checkpointing and torch.is_grad_enabled()
    states = checkpoint_seq(blocks, states, flatten=True) if recompute else blocks(states)
    return trunk.forward_head(trunk.bn2(trunk.conv_head(states)))  # type: ignore[no-any-return]


def trunk_states(visual: Any, pixels: Tensor) -> Tensor:
    """Return the trunk's outputs (B, W), before the projection, for pixels (B, 3, S, S)."""
    in_one_pass = torch.is_grad_enabled() and not trunk_is_constant(visual)
    if in_one_pass or pixels.device.type != "cpu":
        return _states(visual, pixels)
    batches = pixels.tensor_split(max(1, len(pixels) // _FEWEST_IMAGES))
    return torch.cat([_states(visual, batch) for batch in batches])


def project(visual: Any, states: Tensor) -> Tensor:
    """Project the trunk's outputs (B, W) to features (B, D), which are not normalised."""
    if type(visual) is TimmModel:
        return visual.head(states)  # type: ignore[no-any-return]
    return states if visual.proj is None else states @ visual.proj


def _states(visual: Any, pixels: Tensor) -> Tensor:
    if type(visual) is TimmModel:
        return visual.trunk(pixels)  # type: ignore[no-any-return]
    return class_token_of(visual, visual._embeds(pixels))


def trained_parameters(tower: nn.Module, later_layers: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of trained parameters that start with no prefix in `later_layers`."""
    for name, weight in tower.named_parameters():
        if weight.requires_grad and not name.startswith(later_layers):
            yield name


def _has_dropout(visual: nn.Module, later_layers: tuple[str, ...]) -> bool:
    trunk = [module for name, module in visual.named_modules() if not name.startswith(later_layers)]
    rates = [getattr(module, name, None) for module in trunk for name in _RATES]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)
