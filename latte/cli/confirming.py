"""Ask a person before images leave for a server."""

from __future__ import annotations

import sys

import typer

from latte.interfaces import LatteError
from latte.new.asked_model import AskedModel
from latte.report.output import echo

_HINT = "to send them: --yes"


def confirm_sending(asked: AskedModel, *, yes: bool) -> None:
    """Print what the model's server gets, and ask for consent unless `yes`.

    Raises `LatteError`, before anything is sent, without consent or where nobody can be asked.
    """
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        what = f"would send {asked.sent}, which nobody has confirmed; nothing was sent"
        raise LatteError(what, where="--ask-model", hint=_HINT)
    echo(f"{asked.name} gets {asked.sent}", err=True)
    if not yes and not typer.confirm("Send them?", err=True):
        raise LatteError("nothing was sent", where="--ask-model", hint=_HINT)
