"""Towers of several processes: each encodes its share of a batch, all see the features of all.

As with cached gradients, features are leaves for the loss: every process works out the same labels,
loss and prototypes on the whole batch, and the gradients of the features that it encoded itself go
back through its towers. What this leaves on the weights is then summed over the processes, so that
it is the gradient of the one loss on the whole batch. Components know nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from latte import processes
from latte.adapt.learner import Learner
from latte.adapt.precision import backward_in
from latte.adapt.towers import Towers
from latte.data.seeds import seed_from


@dataclass(frozen=True)
class _Encoded:
    own: Tensor
    """This process's rows, with their graph if there are any."""
    all: Tensor
    """A leaf (B, D): what the loss leaves as its gradient is the same in every process."""


class SharedTowers(Towers):
    """`inner` towers for this process's share; pixels are those of its share alone."""

    def __init__(self, learner: Learner, inner: Towers) -> None:
        super().__init__(learner)
        self._inner = inner
        self._encoded: list[_Encoded] = []

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """See `Learner.image_features`; `indices` (B,) are those of the whole batch."""
        if pixels is None or self._learner.constant_features is not None:
            return self._learner.image_features(indices, pixels)
        learner = self._learner
        own = torch.empty(0, learner.backbone.embedding_width, device=learner.device)
        if len(pixels):
            with _own_random_numbers(learner.device, len(self._encoded)):
                own = self._inner.encode_images(processes.share(indices), pixels)
        return self._gathered(own, len(indices), learner.image_tower_trains)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """See `Learner.encode_texts`; every process has the same `texts`."""
        with _own_random_numbers(self._learner.device, len(self._encoded)):
            own = self._inner.encode_texts(processes.share(texts))
        return self._gathered(own, len(texts), self._learner.text_tower_trains)

    def backward(self, loss: Tensor) -> None:
        """See `Towers.backward`; afterwards every process has the same gradients."""
        super().backward(loss)
        self._count_once()
        self._send_back()
        self._sum_gradients()
        self._encoded.clear()

    def _gathered(self, own: Tensor, total: int, trains: bool) -> Tensor:
        features = processes.gather_rows(own, total)
        if trains and torch.is_grad_enabled():
            self._encoded.append(_Encoded(own, features.requires_grad_()))
        return features

    def _count_once(self) -> None:
        """What the loss reaches without towers, as the logit scale, has its gradient in full."""
        if not processes.is_first():
            for parameter in self._learner.parameters.values():
                parameter.grad = None

    def _send_back(self) -> None:
        """Through the inner towers: they are linear in the gradients of what they encoded."""
        with backward_in(self._learner.arithmetic):
            products = [
                (one.own * processes.share(one.all.grad)).sum()
                for one in self._encoded
                if one.own.requires_grad and one.all.grad is not None
            ]
        if products:
            self._inner.backward(torch.stack(products).sum())

    def _sum_gradients(self) -> None:
        """A weight that no process has a gradient for keeps none, as an optimiser tells that."""
        parameters = list(self._learner.parameters.values())
        known = processes.any_of_all([one.grad is not None for one in parameters])
        moving = [one for one, there in zip(parameters, known, strict=True) if there]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in moving]
        for parameter, total in zip(moving, processes.sum_over_all(gradients), strict=True):
            parameter.grad = total


@contextmanager
def _own_random_numbers(device: torch.device, place: int) -> Iterator[None]:
    """Dropout differs from process to process; what components draw is the same in all.

    The generators stand where they stood when the block ends.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed_from("share", torch.initial_seed() % 2**63, processes.rank(), place))
        yield
