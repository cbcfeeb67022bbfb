"""Check the lists of `ModuleBackbone.blocks()`: gradients show which blocks a tower uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from latte.api import ModuleBackbone

Encoders = Mapping[str, Callable[[], Tensor]]
"""Functions that return features with gradient, by tower: `image` and `text`."""


def check_blocks(backbone: ModuleBackbone, encoders: Encoders) -> None:
    """Raise `AssertionError` unless `blocks()` lists the blocks of each tower in order.

    A block with trainable parameters belongs to the tower whose features depend on them.
    """
    lists = backbone.blocks()
    listed_blocks = [name for blocks in lists for name in blocks]
    absent_blocks = [
        name for name in listed_blocks if name not in dict(backbone.model.named_modules())
    ]
    assert not absent_blocks, (
        f"blocks() lists {absent_blocks[0]}, which is not a module of the model"
    )
    repeated_blocks = [name for name in listed_blocks if listed_blocks.count(name) > 1]
    assert not repeated_blocks, f"blocks() lists {repeated_blocks[0]} more than once"
    all_parameters = backbone.train_only("all")
    block_parameters = {
        block: [
            parameter for name, parameter in all_parameters.items() if name.startswith(f"{block}.")
        ]
        for block in listed_blocks
    }
    trainable_blocks = {
        block: parameters for block, parameters in block_parameters.items() if parameters
    }
    orders = {tower: _order(trainable_blocks, encode) for tower, encode in encoders.items()}
    backbone.train_only("none")
    towers = {
        name: [tower for tower, order in orders.items() if name in order]
        for name in trainable_blocks
    }
    _check_towers(
        [[name for name in blocks if name in trainable_blocks] for blocks in lists], towers
    )
    for tower, order in orders.items():
        for blocks in lists:
            tower_blocks = [name for name in blocks if name in order]
            for listed_block, used_block in zip(
                tower_blocks, [name for name in order if name in tower_blocks], strict=True
            ):
                assert listed_block == used_block, (
                    f"blocks() lists {listed_block} before {used_block}, but the forward pass of "
                    f"the {tower} tower uses {used_block} first"
                )


def _order(
    trainable_blocks: Mapping[str, Sequence[nn.Parameter]], encode: Callable[[], Tensor]
) -> list[str]:
    """Return the blocks on which the features depend, in the order of the forward pass.

    The backward pass reaches the blocks in reverse order. Hooks of parameters record this order,
    even if the backbone uses a block's weights without calling its module.
    """
    reached_blocks: dict[str, None] = {}

    def note(block: str, gradient: Tensor) -> None:
        if bool(gradient.any()):
            reached_blocks.setdefault(block)

    handles = [
        parameter.register_hook(partial(note, block))  # type: ignore[no-untyped-call]
        for block, parameters in trainable_blocks.items()
        for parameter in parameters
    ]
    features = encode()
    direction = torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    torch.autograd.backward((features * direction).sum())
    for handle in handles:
        handle.remove()
    return [*reversed(reached_blocks)]


def _check_towers(lists: Sequence[Sequence[str]], towers: Mapping[str, Sequence[str]]) -> None:
    first_blocks: dict[str, str] = {}
    for blocks in lists:
        for name in blocks:
            assert towers[name], (
                f"blocks() lists {name}, on which no feature depends: the forward pass does not "
                "use it"
            )
            assert towers[name] == towers[blocks[0]], (
                f"blocks() lists {blocks[0]} of the {_tower(towers[blocks[0]])} and {name} of the "
                f"{_tower(towers[name])} as blocks of one tower"
            )
        if blocks:
            tower = _tower(towers[blocks[0]])
            assert tower not in first_blocks, (
                f"blocks() has two lists for the {tower}, which start with {first_blocks[tower]} "
                f"and {blocks[0]}: return one list for each tower"
            )
            first_blocks[tower] = blocks[0]


def _tower(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} tower"
