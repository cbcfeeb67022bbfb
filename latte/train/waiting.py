"""Measure how long training waits for the views of its next batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from latte.data.view_speed import faster_views
from latte.data.views import TrainingView
from latte.interfaces.settings import AugmentSettings

ItemT = TypeVar("ItemT")

_LARGE_SHARE = 0.1
_MANY_SECONDS = 5.0
"""Shorter waits need no advice."""


class Waiting:
    """Time of training steps, and the part of it in which no batch was ready.

    Batches are made while earlier steps run. So on every device, steps wait only if the CPU takes
    longer for the views of a batch than the device for a step. The first epoch of a process is left
    out, because it also decodes images, and so is the first batch of each epoch.
    """

    def __init__(self, view: TrainingView, clock: Callable[[], float] = time.perf_counter) -> None:
        self._view = view
        self._clock = clock
        self._epochs = 0
        self._waited = 0.0
        self._total = 0.0
        self._advised = False

    def measured(self, batches: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yield the batches of an epoch, and measure when each is asked for, made and used."""
        request_time = self._clock()
        for number, batch in enumerate(batches):
            ready_time = self._clock()
            yield batch
            end_time = self._clock()
            if self._epochs and number:
                self._waited += ready_time - request_time
                self._total += end_time - request_time
            request_time = end_time
        self._epochs += 1

    def advice(self) -> str | None:
        """Return a line about long waits, which take more than a tenth of the time; only once."""
        if self._advised or self._waited < max(_MANY_SECONDS, _LARGE_SHARE * self._total):
            return None
        self._advised = True
        line = f"{self._waited / self._total:.0%} of the time of steps is spent waiting for views"
        is_built_in = isinstance(self._view.augment, AugmentSettings)
        return f"{line}; {faster_views()}" if is_built_in else line
