"""A command that several processes work on, as `torchrun` starts them; one of them speaks."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from latte.distributed import EndedElsewhere, start_of
from latte.interfaces import LatteError

_FOR_SEVERAL = ("run", "describe")


def refuse_several_processes(command: str) -> None:
    """Raise `LatteError`, in the first process alone, where torchrun starts another command."""
    start = start_of(os.environ)
    if start is None or command in _FOR_SEVERAL:
        return
    error = LatteError(
        f"`latte {command}` is for one process, and torchrun started {start.world_size}",
        hint=f"start it without torchrun; for several are: {', '.join(_FOR_SEVERAL)}",
    )
    if start.rank:
        raise typer.Exit(error.exit_code)
    raise error


@contextmanager
def together() -> Iterator[bool]:
    """Whether this process is the one that speaks; alone, nothing else happens here."""
    start = start_of(os.environ)
    if start is None:
        yield True
        return
    if start.rank:
        logging.getLogger("latte").handlers = [logging.NullHandler()]
        warnings.simplefilter("ignore")
    from latte.distributed.joining import joined

    try:
        with joined(start):
            yield start.rank == 0
    except EndedElsewhere as error:
        raise typer.Exit(error.exit_code) from None
