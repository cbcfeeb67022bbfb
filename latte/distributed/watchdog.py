"""End all processes of a run together; only the first process that fails reports its error."""

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
"""Key in the store shared by all processes; its value is the rank of the first failed process."""
_CONTINUE = (
    "the same command goes on from where this stopped, even with another number of processes"
)
_POLL_SECONDS = 0.5
_HEARTBEAT_SECONDS = 5.0
_GRACE_SECONDS = 10.0
"""Seconds after SIGTERM until a process is killed, which may wait for a dead process. Files are
written atomically, so the kill damages no file."""
_FORCED_EXIT_CODE = 2


class PeerLost(BaseException):  # so that no `except Exception` catches it
    """Exception: another process does not answer, or this process received SIGTERM."""


class EndedElsewhere(LatteError):  # noqa: N818 - another process has the error
    """Exception: another process failed and reports its error, so this process prints nothing."""


def error_to_report(store: Any, rank: int, error: BaseException) -> BaseException:
    """Return the error to raise in process `rank`, so that only one process reports an error.

    All processes but the first that fails get `EndedElsewhere`. If the failed process hosted the
    key-value store, which then cannot be reached, every process reports its own error.
    """
    if not _is_first_to_end(store, rank):
        return EndedElsewhere("another process of this run has failed")
    return _peer_lost_error() if isinstance(error, PeerLost) else error


def _is_first_to_end(store: Any, rank: int) -> bool:
    """Record in the store that process `rank` ends; return True if no process ended before."""
    rank_text = str(rank)
    try:
        return bool(store.compare_set(ENDED, "", rank_text).decode() == rank_text)
    except RuntimeError:
        return True


def _peer_lost_error() -> LatteError:
    return LatteError("this run has stopped: another of its processes has ended", hint=_CONTINUE)


class Watchdog:
    """Context manager that raises `PeerLost` in the main thread if another process ends.

    When a process ends, torchrun sends SIGTERM to the other processes on its machine; this signal
    raises `PeerLost`. Processes on other machines watch the key-value store. A failed process
    writes its rank there, and a process without a heartbeat for `patience` seconds counts as dead.
    """

    def __init__(self, store: Any, rank: int, world_size: int, patience: float) -> None:
        self._store = store
        self._rank = rank
        self._world_size = world_size
        self._patience = patience
        self._heartbeats = dict.fromkeys(range(world_size), (b"", time.monotonic()))
        self._next_beat = 0.0
        self._beats = 0
        self._ending_since: float | None = None
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="latte-watch", daemon=True)

    def __enter__(self) -> Self:
        self._old_handler = signal.signal(signal.SIGTERM, self._on_sigterm)
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        # The pipe wakes the background thread even if a call of the main thread never returns.
        self._old_wakeup = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._finished.set()
        self._thread.join()
        signal.set_wakeup_fd(self._old_wakeup)
        # After an error, SIGTERM is ignored: it would change the exit code.
        signal.signal(signal.SIGTERM, self._old_handler if kind is None else signal.SIG_IGN)
        os.close(self._wake)
        os.close(self._woken)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise PeerLost("SIGTERM")

    def _run(self) -> None:
        while not self._finished.is_set():
            readable_files, _, _ = select.select([self._wake], [], [], _POLL_SECONDS)
            signals = os.read(self._wake, 4096) if readable_files else b""
            if self._ending_since is None:
                if {signal.SIGTERM, signal.SIGINT} & {*signals}:
                    self._ending_since = time.monotonic()
                elif self._a_peer_has_ended():
                    self._ending_since = time.monotonic()
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            elif time.monotonic() - self._ending_since > _GRACE_SECONDS:
                self._abort()

    def _a_peer_has_ended(self) -> bool:
        try:
            self._exchange_heartbeats()
            heartbeats, now = self._heartbeats.values(), time.monotonic()
            has_silent_peer = any(now - last_beat > self._patience for _, last_beat in heartbeats)
            return has_silent_peer or bool(self._store.check([ENDED]))
        except RuntimeError:
            return True

    def _exchange_heartbeats(self) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + min(_HEARTBEAT_SECONDS, self._patience / 4)
        self._beats += 1
        self._store.set(_key(self._rank), str(self._beats))
        for peer in range(self._world_size):
            beat = self._store.get(_key(peer)) if self._store.check([_key(peer)]) else b""
            if beat != self._heartbeats[peer][0]:
                self._heartbeats[peer] = (beat, now)

    def _abort(self) -> None:
        if _is_first_to_end(self._store, self._rank):
            sys.stderr.write(f"error: {_peer_lost_error()}\n")
            sys.stderr.flush()
        os._exit(_FORCED_EXIT_CODE)


def _key(rank: int) -> str:
    return f"alive/{rank}"
