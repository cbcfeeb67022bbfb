"""Run `latte` in this process, and the types of the fixtures that run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from latte.cli.main import run_command_line

LatteProcess = Callable[..., CompletedProcess[str]]
"""Runs `latte ARGUMENTS` in another process."""


@dataclass(frozen=True)
class Said:
    """Output of a command."""

    out: str
    err: str


Latte = Callable[..., Said]
"""Runs `latte ARGUMENTS` in this process."""


def latte_in_process(capsys: pytest.CaptureFixture[str]) -> Latte:
    """Return a function that runs `latte ARGUMENTS`, and fails unless it exits with `code`."""

    def call(*arguments: str | Path, code: int = 0) -> Said:
        capsys.readouterr()
        ended = run_command_line([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert ended == code, captured.out + captured.err
        return Said(captured.out, captured.err)

    return call
