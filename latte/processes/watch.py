"""A thread beside the work that sees when another process ends, and that nobody hangs for it."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Self

from latte.processes.ending import ENDED, Lost, is_first_to_end, lost_error

_LOOK_SECONDS = 0.5
_BEAT_SECONDS = 5.0
_GRACE_SECONDS = 10.0
"""Told to end, a process that is still at work after this (as in a call that will never return,
for the other side is gone) is ended by force: what it wrote is whole or absent anyway."""
_FORCED = 2


class Watch:
    """Within the block, the end of another process, and SIGTERM, raise `Lost` in the main thread.

    torchrun sends SIGTERM to the processes on the machine of one that has ended. Those on other
    machines learn it from the store: from what a failing process notes there, or from a heartbeat
    that has been missing for `patience` seconds.
    """

    def __init__(self, store: Any, rank: int, count: int, patience: float) -> None:
        self._store = store
        self._rank = rank
        self._count = count
        self._patience = patience
        self._heard = dict.fromkeys(range(count), (b"", time.monotonic()))
        self._next_beat = 0.0
        self._beats = 0
        self._told_at: float | None = None
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="latte-watch", daemon=True)

    def __enter__(self) -> Self:
        self._old_handler = signal.signal(signal.SIGTERM, self._end)
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        # Signals wake the thread also where the main thread is inside a call that never returns.
        self._old_wakeup = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._finished.set()
        self._thread.join()
        signal.set_wakeup_fd(self._old_wakeup)
        # A process that is ending already needs nobody to end it, and would lose its exit code.
        signal.signal(signal.SIGTERM, self._old_handler if kind is None else signal.SIG_IGN)
        os.close(self._wake)
        os.close(self._woken)

    def _end(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Lost("told to end")

    def _run(self) -> None:
        while not self._finished.is_set():
            ready, _, _ = select.select([self._wake], [], [], _LOOK_SECONDS)
            signals = os.read(self._wake, 4096) if ready else b""
            if self._told_at is None:
                if {signal.SIGTERM, signal.SIGINT} & {*signals}:
                    self._told_at = time.monotonic()
                elif self._somebody_is_gone():
                    self._told_at = time.monotonic()
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            elif time.monotonic() - self._told_at > _GRACE_SECONDS:
                self._leave()

    def _somebody_is_gone(self) -> bool:
        try:
            self._beat()
            return bool(self._store.check([ENDED])) or self._is_silent()
        except RuntimeError:
            return True

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + min(_BEAT_SECONDS, self._patience / 4)
        self._beats += 1
        self._store.set(_key(self._rank), str(self._beats))
        for other in range(self._count):
            found = self._store.get(_key(other)) if self._store.check([_key(other)]) else b""
            if found != self._heard[other][0]:
                self._heard[other] = (found, now)

    def _is_silent(self) -> bool:
        now = time.monotonic()
        return any(now - since > self._patience for _, since in self._heard.values())

    def _leave(self) -> None:
        if is_first_to_end(self._store, self._rank):
            sys.stderr.write(f"error: {lost_error()}\n")
            sys.stderr.flush()
        os._exit(_FORCED)


def _key(rank: int) -> str:
    return f"alive/{rank}"
