"""The return value of a stage: the files that it wrote, and its facts for the run's record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latte.interfaces.record import Facts


@dataclass(frozen=True)
class StageResult:
    """Files and facts of a stage; the stage is finished only as long as the files exist."""

    outputs: Sequence[Path]
    facts: Facts | None = None
