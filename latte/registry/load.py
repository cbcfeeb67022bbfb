"""Importing what a plugin names, and putting what goes wrong into one line."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any


def import_target(target: str) -> Any:
    """What `"package.module:Name"` names. Raises whatever the module raises.

    What a module prints while it is imported goes to stderr: stdout is for results.
    """
    module, _, name = target.partition(":")
    with contextlib.redirect_stdout(sys.stderr):
        return getattr(importlib.import_module(module), name)


def one_line(error: BaseException) -> str:
    """Type and first line of the message, such as `ImportError: no module named x`."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
