"""Divide the encoding of a batch among the processes of a run.

Every process computes the same labels, loss and prototypes on the whole batch, and propagates only
the gradients of the features that it has encoded. Then the gradients are summed over the processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latte import distributed
from latte.backbone.precision import Arithmetic, backward_in
from latte.toolkit.seeds import seed_from
from latte.train.encoding import InputT, TowerEncoder


class Shared(TowerEncoder[InputT]):
    """Encodes this process's share of the inputs of one step, and gathers all features."""

    def __init__(
        self,
        encoder: TowerEncoder[InputT],
        share: Callable[[InputT], InputT],
        width: int,
        arithmetic: Arithmetic,
        device: torch.device,
    ) -> None:
        """Encode `share` of the inputs with `encoder`; features have the width D = `width`."""
        self.trains: bool = encoder.trains
        self._encoder = encoder
        self._share = share
        self._width = width
        self._arithmetic = arithmetic
        self._device = device
        self._encoded: list[_SharedFeatures] = []

    def encode(self, inputs: InputT) -> Tensor:
        """Return unit features (B, D) of all inputs; every process must pass the same inputs."""
        share = self._share(inputs)
        share_features = torch.empty(0, self._width, device=self._device)
        if len(share):
            with _own_random_numbers(self._device, len(self._encoded)):
                share_features = self._encoder.encode(share)
        features = distributed.all_gather_rows(share_features, len(inputs))
        if self.trains and torch.is_grad_enabled():
            self._encoded.append(_SharedFeatures(share_features, features.requires_grad_()))
        return features

    def backward(self) -> None:
        """Propagate the gradients of this process's features through the tower.

        Runs the backward pass of sum(features * gradients), whose derivative with respect to the
        features is `gradients`.
        """
        with backward_in(self._arithmetic):
            products = [
                (features.of_share * distributed.share(features.of_all.grad)).sum()
                for features in self._encoded
                if features.of_share.requires_grad and features.of_all.grad is not None
            ]
            if products:
                torch.stack(products).sum().backward()  # type: ignore[no-untyped-call]
        self._encoder.backward()
        self._encoded.clear()


@dataclass(frozen=True)
class _SharedFeatures:
    of_share: Tensor
    """Features of this process's share, with their graph if there is one."""
    of_all: Tensor
    """Features (B, D) of all shares (leaf of the loss's graph); all processes have its gradient."""


def keep_once(parameters: Mapping[str, nn.Parameter]) -> None:
    """Keep the gradients of the loss in the main process only, so that their sum is right.

    The loss also uses parameters outside the towers, such as the logit scale, and every process has
    their full gradient. Call it before gradients are propagated through the towers.
    """
    if not distributed.is_main_process():
        for parameter in parameters.values():
            parameter.grad = None


def sum_gradients(parameters: Mapping[str, nn.Parameter]) -> None:
    """Sum each gradient over all processes; it stays None if it is None in every process."""
    weights = list(parameters.values())
    gradient_flags = distributed.any_process([weight.grad is not None for weight in weights])
    moving_weights = [
        weight for weight, has_gradient in zip(weights, gradient_flags, strict=True) if has_gradient
    ]
    gradients = [
        torch.zeros_like(weight) if weight.grad is None else weight.grad
        for weight in moving_weights
    ]
    for weight, total in zip(moving_weights, distributed.all_reduce(gradients), strict=True):
        weight.grad = total


@contextmanager
def _own_random_numbers(device: torch.device, place: int) -> Iterator[None]:
    """Use different random numbers in each process, for dropout, inside the `with` block."""
    seed = seed_from("share", torch.initial_seed() % 2**63, distributed.rank(), place)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
