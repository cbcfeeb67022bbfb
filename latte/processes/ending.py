"""How processes end together: the first that fails says why, the others leave without a word."""

from __future__ import annotations

from typing import Any

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
