"""Encode a batch in micro-batches, for a loss on the whole batch.

This is GradCache (Gao et al. 2021, Scaling deep contrastive learning batch size under memory
limited setup).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from latte.backbone.precision import Arithmetic, backward_in
from latte.train.encoding import InputT, TowerEncoder


class GradCache(TowerEncoder[InputT]):
    """Encodes the inputs of one step in micro-batches of at most `size`, with another encoder.

    The first pass keeps no graph. `backward` encodes each micro-batch again, with its graph and the
    same dropout, and propagates the gradients of its features through this graph.
    """

    def __init__(
        self, encoder: TowerEncoder[InputT], size: int, arithmetic: Arithmetic, device: torch.device
    ) -> None:
        self.trains: bool = encoder.trains
        self._encoder = encoder
        self._size = size
        self._arithmetic = arithmetic
        self._device = device
        self._passes: list[_FirstPass[InputT]] = []

    def encode(self, inputs: InputT) -> Tensor:
        """Return unit features (B, D), a leaf of autograd per micro-batch if the tower trains."""
        micro_batches = [
            inputs[start : start + self._size] for start in range(0, len(inputs), self._size)
        ]
        return torch.cat([self._first_pass(micro_batch) for micro_batch in micro_batches])

    def backward(self) -> None:
        """Encode each micro-batch again, and propagate the gradients of its features."""
        for first_pass in self._passes:
            if first_pass.features.grad is not None:
                with first_pass.random.again():
                    features = self._encoder.encode(first_pass.inputs)
                with backward_in(self._arithmetic):
                    torch.autograd.backward(features, first_pass.features.grad)
        self._passes.clear()

    def _first_pass(self, inputs: InputT) -> Tensor:
        random = RandomState(self._device)
        features = self._encoder.encode(inputs)
        if not features.requires_grad:
            return features
        leaf = features.detach().requires_grad_()
        self._passes.append(_FirstPass(inputs, random, leaf))
        return leaf


@dataclass(frozen=True)
class _FirstPass(Generic[InputT]):
    """First pass of a micro-batch."""

    inputs: InputT
    random: RandomState
    """State of the random generators before the pass."""
    features: Tensor
    """Features (leaf of the loss's graph)."""


class RandomState:
    """State of torch's global random generators (on the CPU and on `device`), to restore later."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw the same random numbers again inside the `with` block; then restore generators."""
        with torch.random.fork_rng(devices=[] if self._gpu is None else [self._device]):
            torch.set_rng_state(self._cpu)
            if self._gpu is not None:
                torch.cuda.set_rng_state(self._gpu, self._device)
            yield
