"""A command that several processes work on, as `torchrun` starts them; one of them speaks."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from latte.processes import EndedElsewhere, start_of


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
    from latte.processes.joined import joined

    try:
        with joined(start):
            yield start.rank == 0
    except EndedElsewhere as error:
        raise typer.Exit(error.exit_code) from None
