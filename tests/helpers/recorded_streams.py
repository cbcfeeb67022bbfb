"""CUDA streams that compute nothing: they record which work must have ended before other work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import torch

from latte.data.side_stream import SideStream


@dataclass
class RecordedStream:
    """A stand-in for `torch.cuda.Stream`."""

    ended: set[str] = field(default_factory=set)
    """Work that must have ended before later work on this stream begins."""

    def wait_stream(self, other: RecordedStream) -> None:
        self.ended |= other.ended

    def record_event(self) -> frozenset[str]:
        """Return an event: all work so far."""
        return frozenset(self.ended)

    def wait_event(self, event: frozenset[str]) -> None:
        self.ended |= event


class RecordedStreams:
    """The streams of one device, and the work that was launched on them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace torch's streams."""
        self.main = RecordedStream()
        self.before: dict[str, frozenset[str]] = {}
        """Work in the order of its launches, with the work that must have ended before."""
        self._current = self.main
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: RecordedStream())
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self._current)
        monkeypatch.setattr(torch.cuda, "stream", self._on)
        self.side = SideStream(torch.device("cuda"))

    def launch(self, work: str) -> None:
        """Launch work on the current stream."""
        self.before[work] = self._current.record_event()
        self._current.ended.add(work)

    @contextmanager
    def _on(self, stream: RecordedStream) -> Iterator[None]:
        outer, self._current = self._current, stream
        try:
            yield
        finally:
            self._current = outer
