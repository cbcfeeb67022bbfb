"""A learner's two towers during one step: forward, and the way back through them."""

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


class Towers:
    """Whole batches at once, with their graph."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """See `Learner.image_features`."""
        return self._learner.image_features(indices, pixels)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """See `Learner.encode_texts`."""
        return self._learner.encode_texts(texts)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss on what was encoded to those of all that trains."""
        with backward_in(self._learner.arithmetic):
            loss.backward()  # type: ignore[no-untyped-call]


# Towers of several processes: each encodes its share of a batch, all see the features of all.
#
# As with cached gradients, features are leaves for the loss: every process works out the same
# labels, loss and prototypes on the whole batch, and the gradients of the features that it
# encoded itself go back through its towers. What this leaves on the weights is then summed over
# the processes, so that it is the gradient of the one loss on the whole batch. Components know
# nothing of it.


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
                own = self._inner.encode_images(distributed.share(indices), pixels)
        return self._gathered(own, len(indices), learner.image_tower_trains)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """See `Learner.encode_texts`; every process has the same `texts`."""
        with _own_random_numbers(self._learner.device, len(self._encoded)):
            own = self._inner.encode_texts(distributed.share(texts))
        return self._gathered(own, len(texts), self._learner.text_tower_trains)

    def backward(self, loss: Tensor) -> None:
        """See `Towers.backward`; afterwards every process has the same gradients."""
        super().backward(loss)
        self._count_once()
        self._send_back()
        self._sum_gradients()
        self._encoded.clear()

    def _gathered(self, own: Tensor, total: int, trains: bool) -> Tensor:
        features = distributed.all_gather_rows(own, total)
        if trains and torch.is_grad_enabled():
            self._encoded.append(_Encoded(own, features.requires_grad_()))
        return features

    def _count_once(self) -> None:
        """What the loss reaches without towers, as the logit scale, has its gradient in full."""
        if not distributed.is_main_process():
            for parameter in self._learner.parameters.values():
                parameter.grad = None

    def _send_back(self) -> None:
        """Through the inner towers: they are linear in the gradients of what they encoded."""
        with backward_in(self._learner.arithmetic):
            products = [
                (one.own * distributed.share(one.all.grad)).sum()
                for one in self._encoded
                if one.own.requires_grad and one.all.grad is not None
            ]
        if products:
            self._inner.backward(torch.stack(products).sum())

    def _sum_gradients(self) -> None:
        """A weight that no process has a gradient for keeps none, as an optimiser tells that."""
        parameters = list(self._learner.parameters.values())
        known = distributed.any_process([one.grad is not None for one in parameters])
        moving = [one for one, there in zip(parameters, known, strict=True) if there]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in moving]
        for parameter, total in zip(moving, distributed.all_reduce(gradients), strict=True):
            parameter.grad = total


@contextmanager
def _own_random_numbers(device: torch.device, place: int) -> Iterator[None]:
    """Dropout differs from process to process; what components draw is the same in all.

    The generators stand where they stood when the block ends.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(
            seed_from("share", torch.initial_seed() % 2**63, distributed.rank(), place)
        )
        yield


# A batch that does not fit into memory: gradients of features are kept, towers run in parts.
#
# GradCache (Gao et al. 2021, Scaling deep contrastive learning batch size under memory limited
# setup): all parts are encoded without keeping their graphs, the loss is taken on the features of
# the whole batch, and its gradients with respect to the features then go back through one part
# after another, which is encoded a second time for that.


def towers_of(learner: Learner) -> Towers:
    """The towers for one step of `learner`."""
    size = learner.micro_batch_size
    towers = Towers(learner) if size is None else CachedTowers(learner, size)
    return towers if distributed.world_size() == 1 else SharedTowers(learner, towers)


@dataclass(frozen=True)
class _Part:
    encode: Callable[[], Tensor]
    random: RandomState
    features: Tensor
    """A leaf: what the loss leaves as its gradient goes back through `encode`."""


class CachedTowers(Towers):
    """At most `size` images or texts at once; labels, loss and prototypes see the whole batch."""

    def __init__(self, learner: Learner, size: int) -> None:
        super().__init__(learner)
        self._size = size
        self._parts: list[_Part] = []

    def encode_images(self, indices: Tensor, pixels: Tensor | None) -> Tensor:
        """See `Learner.image_features`."""
        if pixels is None or self._learner.constant_features is not None:
            return self._learner.image_features(indices, pixels)
        size, encode = self._size, self._learner.image_features
        parts = zip(torch.split(indices, size), torch.split(pixels, size), strict=True)
        return torch.cat([self._first_pass(partial(encode, *part)) for part in parts])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """See `Learner.encode_texts`."""
        if not texts:
            return self._learner.encode_texts(texts)
        size, encode = self._size, self._learner.encode_texts
        parts = [texts[first : first + size] for first in range(0, len(texts), size)]
        return torch.cat([self._first_pass(partial(encode, part)) for part in parts])

    def backward(self, loss: Tensor) -> None:
        """See `Towers.backward`; with dropout, a part meets the same one as when it was encoded."""
        super().backward(loss)
        for part in self._parts:
            if part.features.grad is not None:
                with part.random.again():
                    features = part.encode()
                with backward_in(self._learner.arithmetic):
                    torch.autograd.backward(features, part.features.grad)
        self._parts.clear()

    def _first_pass(self, encode: Callable[[], Tensor]) -> Tensor:
        """Encode with the gradient switched on, as dropout asks, and let go of the graph."""
        random = RandomState(self._learner.device)
        features = encode()
        if not features.requires_grad:
            return features
        leaf = features.detach().requires_grad_()
        self._parts.append(_Part(encode, random, leaf))
        return leaf


class RandomState:
    """Where torch's own generators are, on the CPU and on `device`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw the same numbers once more; afterwards the generators are as before."""
        with torch.random.fork_rng(devices=[] if self._gpu is None else [self._device]):
            torch.set_rng_state(self._cpu)
            if self._gpu is not None:
                torch.cuda.set_rng_state(self._gpu, self._device)
            yield
