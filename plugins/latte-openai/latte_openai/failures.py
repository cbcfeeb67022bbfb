"""What can go wrong with one request; a mistake that concerns all of them is a `LatteError`."""

from __future__ import annotations


class RequestError(Exception):
    """One request has no answer; others may well have one."""


class TransientError(Exception):
    """May go well another time, after `wait` seconds if the server said how many."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class UnreachableError(TransientError):
    """There is no connection to the server."""


class NotFoundError(Exception):
    """The server knows the model or the address not."""


class RefusedError(Exception):
    """The server's content filter will not let this request through."""
