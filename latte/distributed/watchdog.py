"""How processes end together: the first that fails says why, the others leave without a word."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Self

from latte.interfaces import LatteError

ENDED = "ended"
"""The key under which the first process to fail notes itself."""
GO_ON = "the same command goes on from where this stopped, also with another number of processes"


class Lost(BaseException):  # so that no `except Exception` swallows it
    """Another process does not answer, or this one was told to end."""


class EndedElsewhere(LatteError):  # noqa: N818 - the error is another process's
    """Another process failed and has said why, so that its own end needs no word."""


def told(store: Any, rank: int, error: BaseException) -> BaseException:
    """What to raise in place of `error` in process `rank`: itself, or in words, or nothing to say.

    The store may be gone together with the process that failed; then everybody speaks.
    """
    if not is_first_to_end(store, rank):
        return EndedElsewhere("another process of this run has failed")
    if isinstance(error, Lost):
        return lost_error()
    return error


def is_first_to_end(store: Any, rank: int) -> bool:
    """Note that process `rank` ends; whether no other one did before."""
    mine = str(rank)
    try:
        return bool(store.compare_set(ENDED, "", mine).decode() == mine)
    except RuntimeError:
        return True


def lost_error() -> LatteError:
    """Another process ended without a word."""
    return LatteError("this run has stopped: another of its processes has ended", hint=GO_ON)


# A thread beside the work that sees when another process ends, and that nobody hangs for it.


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
