"""Events that a run sends to its reporters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunStart:
    """Start of a run, or its continuation after a stop.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import RunStart
        >>> RunStart("pets", Path("runs/pets-1f"), {"seed": 0}, 0, ("cat", "dog")).name
        'pets'
    """

    name: str
    folder: Path
    """The run folder: the same for each run of this recipe. A reporter writes only below it."""
    recipe: Mapping[str, Any]
    """The resolved recipe as plain data; values of keys such as `api_key` are redacted."""
    seed: int
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class StageEnd:
    """End of a stage.

    Example:
        >>> from latte.api import StageEnd
        >>> StageEnd("train", seconds=12.5, reused=False).stage
        'train'
    """

    stage: str
    seconds: float
    """Wall-clock seconds of the run that did the work."""
    reused: bool
    """True if an earlier run finished the stage, so that it was skipped now."""


@dataclass(frozen=True)
class Figures:
    """Measurements of one training step, or of the end of one epoch.

    Example:
        >>> from latte.api import Figures
        >>> Figures(step=1, epoch=0, values={"loss": 2.1}).values["loss"]
        2.1
    """

    step: int
    """Optimiser steps done, from 1. After a resume a step may be sent again, unchanged."""
    epoch: int
    """From 0."""
    values: Mapping[str, float]
    """Floats by name, such as `loss`, or `learner.loss` with several learners."""
