"""Statements about a run's result, which terminal, page and model card show in the same order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from latte.io.redaction import one_line, printable

_SPACES = re.compile(r"[^\S\u202f]+")
"""White space, without the narrow space between a number and its unit."""

StatementKind = Literal[
    "outcome",
    "trust",
    "step",
    "headline",
    "label-use",
    "ask",
    "verdict",
    "accuracies",
    "result",
    "caution",
    "names",
    "note",
]
"""Kind of a statement: `outcome`, `trust` and `step` have a short form. A `headline` is in bold,
in the terminal too; `label-use`, `ask`, `verdict` and `result` are emphasized, a `caution` is in a
frame, `accuracies` is a table, and `names` has a list of class names."""

Tone = Literal["better", "same", "worse", "unknown"]


class Command(NamedTuple):
    """A command for a reader of a statement, and its purpose in words."""

    purpose: str
    line: str


@dataclass(frozen=True)
class Statement:
    """A statement about a run: text, commands, and a table or list that belongs to them.

    Attributes:
        text: One or more sentences; empty if the commands' purposes say everything.
        short: The short form, which a screen shows first. The other statements of the list are the
            long forms, which stand under a fold of the page and under `--verbose`.
        tone: What the statement says about the run's gain.
        scores: Rows of the accuracy table, see `latte.report.accuracy.scores`.
        names: All class names of which `text` shows only some.
    """

    kind: StatementKind
    text: str = ""
    commands: tuple[Command, ...] = ()
    tone: Tone = "unknown"
    scores: tuple[Mapping[str, str], ...] = ()
    names: tuple[str, ...] = ()
    short: str = ""

    def __post_init__(self) -> None:
        """Make texts and names printable: people and other programs chose what is in them."""
        object.__setattr__(self, "short", _SPACES.sub(" ", printable(self.short)).strip())
        object.__setattr__(self, "text", _SPACES.sub(" ", printable(self.text)).strip())
        object.__setattr__(self, "names", tuple(map(one_line, self.names)))
