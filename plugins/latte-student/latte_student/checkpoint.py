"""Checkpoint of a student's training: one file, from which training goes on with the same bits."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from latte.api import LatteError, write_atomically

NAME = "checkpoint.safetensors"
_MODEL, _BEST, _OPTIMIZER = "model.", "best.", "optimizer."
_FACTS = "facts"


@dataclass
class Position:
    """Progress of a training."""

    step: int = 0
    """Number of finished steps."""
    best_epoch: int = -1
    """Epoch with the smallest loss on the left-out images, from 0; -1 before the first."""
    best_loss: float = float("inf")
    losses: list[float] = field(default_factory=list)
    """Loss on the left-out images after each finished epoch."""
    seconds: float = 0.0
    """Seconds of training, in all processes."""


@dataclass
class TrainingState:
    """All that training changes."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    position: Position
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights after the best epoch."""

    def keep_best(self) -> None:
        """Remember the present weights as the best ones."""
        self.best = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}


def save_checkpoint(folder: Path, state: TrainingState, fingerprint: str) -> None:
    """Write the checkpoint. An earlier one stays until the new one is complete."""
    tensors = {f"{_MODEL}{name}": tensor for name, tensor in state.module.state_dict().items()}
    tensors |= {f"{_BEST}{name}": tensor for name, tensor in state.best.items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{number}.{name}": value for name, value in values.items()}
    # safetensors refuses memory that is shared or not contiguous.
    stored = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    facts = json.dumps({"fingerprint": fingerprint, "position": asdict(state.position)})
    with write_atomically(folder / NAME) as temporary:
        save_file(stored, temporary, metadata={_FACTS: facts})


def load_checkpoint(folder: Path, state: TrainingState, fingerprint: str) -> bool:
    """Fill `state` from the checkpoint in `folder`; return False if there is none.

    Raises `LatteError` if the checkpoint is damaged, or of another training.
    """
    path = folder / NAME
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        hint = "remove it to train again"
        raise LatteError("this checkpoint is damaged", where=str(path), hint=hint) from error
    if facts["fingerprint"] != fingerprint:
        raise LatteError(
            "this folder has a student of another run, or with other settings",
            where=str(folder),
            hint="name another folder with --output, or remove this one",
        )
    state.position = Position(**facts["position"])
    state.module.load_state_dict(_below(tensors, _MODEL))
    state.best = {name: tensor.clone() for name, tensor in _below(tensors, _BEST).items()}
    _fill_optimizer(state.optimizer, _below(tensors, _OPTIMIZER))
    return True


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _fill_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Fill the optimiser's state; a moment has the memory format of its parameter, as in a step."""
    content: dict[str, Any] = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        value = tensor.clone()
        if tensor.shape == parameters[int(number)].shape:
            value = torch.empty_like(parameters[int(number)].detach()).copy_(tensor)
        content["state"].setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(content)
