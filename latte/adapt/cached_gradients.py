"""A batch that does not fit into memory: gradients of features are kept, towers run in parts.

GradCache (Gao et al. 2021, Scaling deep contrastive learning batch size under memory limited
setup): all parts are encoded without keeping their graphs, the loss is taken on the features of the
whole batch, and its gradients with respect to the features then go back through one part after
another, which is encoded a second time for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from latte import processes
from latte.adapt.learner import Learner
from latte.adapt.precision import backward_in
from latte.adapt.shared_towers import SharedTowers
from latte.adapt.towers import Towers


def towers_of(learner: Learner) -> Towers:
    """The towers for one step of `learner`."""
    size = learner.micro_batch_size
    towers = Towers(learner) if size is None else CachedTowers(learner, size)
    return towers if processes.count() == 1 else SharedTowers(learner, towers)


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
