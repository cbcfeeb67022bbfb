"""Encode a batch and propagate gradients: at once, in micro-batches, or in several processes.

`Learner` encodes a whole batch and keeps the autograd graph. `CachedTowers` and `SharedTowers`
first encode without the towers' graphs, so that the loss can be computed on the features of the
whole batch. Then they propagate the features' gradients back through the towers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from latte import distributed
from latte.toolkit.seeds import seed_from
from latte.train.learner import Learner
from latte.train.precision import backward_in


class CachedTowers:
    """Encodes a batch in micro-batches of at most `size`, for a loss on the whole batch.

    This is GradCache (Gao et al. 2021, Scaling deep contrastive learning batch size under memory
    limited setup). The backward pass encodes each micro-batch again, with its autograd graph, and
    propagates the gradients of the features through this graph.
    """

    def __init__(self, learner: Learner, size: int) -> None:
        self._learner = learner
        self._size = size
        self._parts: list[_Part] = []

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """Return unit features (B, D) of images in micro-batches; see `Learner.encode_images`."""
        size, encode = self._size, self._learner.encode_images
        if self._learner.constant_features is not None:
            return encode(indices, pixels)
        parts = torch.split(indices, size)
        views = [None] * len(parts) if pixels is None else torch.split(pixels, size)
        passes = [partial(encode, *part) for part in zip(parts, views, strict=True)]
        return torch.cat([self._first_pass(one) for one in passes])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) of texts in micro-batches; see `Learner.encode_texts`."""
        if not texts:
            return self._learner.encode_texts(texts)
        size, encode = self._size, self._learner.encode_texts
        parts = [texts[first : first + size] for first in range(0, len(texts), size)]
        return torch.cat([self._first_pass(partial(encode, part)) for part in parts])

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass of `loss`; encode each micro-batch again, with the same dropout."""
        self._learner.backward(loss)
        for part in self._parts:
            if part.features.grad is not None:
                with part.random.again():
                    features = part.encode()
                with backward_in(self._learner.arithmetic):
                    torch.autograd.backward(features, part.features.grad)
        self._parts.clear()

    def _first_pass(self, encode: Callable[[], Tensor]) -> Tensor:
        """Encode with dropout, as in training, and return the features without their graph."""
        random = RandomState(self._learner.device)
        features = encode()
        if not features.requires_grad:
            return features
        leaf = features.detach().requires_grad_()
        self._parts.append(_Part(encode, random, leaf))
        return leaf


class SharedTowers:
    """Encodes a part of each batch with `inner`, and gathers the features of all processes.

    Every process computes the same labels, loss and prototypes on the whole batch. It propagates
    only the gradients of the features that it has encoded. Then the gradients of the weights are
    summed over the processes.
    """

    def __init__(self, learner: Learner, inner: Learner | CachedTowers) -> None:
        self._learner = learner
        self._inner = inner
        self._encoded: list[_Encoded] = []

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """Return unit features (B, D) of the whole batch; `pixels` are this process's images."""
        learner = self._learner
        if learner.constant_features is not None:
            return learner.encode_images(indices, pixels)
        own = torch.empty(0, learner.backbone.embedding_width, device=learner.device)
        if len(share := distributed.share(indices)):
            with _own_random_numbers(learner.device, len(self._encoded)):
                own = self._inner.encode_images(share, pixels)
        return self._gather(own, len(indices), learner.image_tower_is_trained)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) of M `texts`; every process must pass the same texts."""
        with _own_random_numbers(self._learner.device, len(self._encoded)):
            own = self._inner.encode_texts(distributed.share(texts))
        return self._gather(own, len(texts), self._learner.text_tower_is_trained)

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass of `loss`; every process gets the same parameter gradients."""
        self._learner.backward(loss)
        if not distributed.is_main_process():
            # The loss also uses parameters outside the towers, such as the logit scale. Every
            # process has their full gradient; only the main process keeps it, so the sum is right.
            for parameter in self._learner.parameters.values():
                parameter.grad = None
        self._backward_through_towers()
        self._sum_gradients()
        self._encoded.clear()

    def _gather(self, own: Tensor, total: int, trains: bool) -> Tensor:
        features = distributed.all_gather_rows(own, total)
        if trains and torch.is_grad_enabled():
            self._encoded.append(_Encoded(own, features.requires_grad_()))
        return features

    def _backward_through_towers(self) -> None:
        """Propagate the gradients of this process's features through the towers.

        Runs the backward pass of sum(features * gradients), whose derivative with respect to the
        features is `gradients`.
        """
        with backward_in(self._learner.arithmetic):
            products = [
                (one.own * distributed.share(one.all.grad)).sum()
                for one in self._encoded
                if one.own.requires_grad and one.all.grad is not None
            ]
        if products:
            self._inner.backward(torch.stack(products).sum())

    def _sum_gradients(self) -> None:
        """Sum each gradient over all processes; it stays None if it is None in every process."""
        parameters = list(self._learner.parameters.values())
        known = distributed.any_process([one.grad is not None for one in parameters])
        moving = [one for one, there in zip(parameters, known, strict=True) if there]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in moving]
        for parameter, total in zip(moving, distributed.all_reduce(gradients), strict=True):
            parameter.grad = total


Towers = Learner | CachedTowers | SharedTowers


def towers_of(learner: Learner) -> Towers:
    """Return the object that encodes in a step: `learner`, `CachedTowers` or `SharedTowers`."""
    size = learner.micro_batch_size
    towers = learner if size is None else CachedTowers(learner, size)
    return towers if distributed.world_size() == 1 else SharedTowers(learner, towers)


@dataclass(frozen=True)
class _Part:
    encode: Callable[[], Tensor]
    random: RandomState
    features: Tensor
    """Features (leaf of the loss's graph); their gradient is propagated through `encode`."""


@dataclass(frozen=True)
class _Encoded:
    own: Tensor
    """Features of this process's share, with their graph if there is one."""
    all: Tensor
    """Features (B, D) of all shares (leaf of the loss's graph); all processes have its gradient."""


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


@contextmanager
def _own_random_numbers(device: torch.device, place: int) -> Iterator[None]:
    """Use different random numbers in each process, for dropout, inside the `with` block."""
    seed = seed_from("share", torch.initial_seed() % 2**63, distributed.rank(), place)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
