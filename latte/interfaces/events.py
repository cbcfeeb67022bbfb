"""What a reporter may hear while a run is going on; figures are plain floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunStart:
    """A run that begins, or that goes on where it was stopped."""

    name: str
    folder: Path
    """The run folder, the same whenever this recipe runs; a reporter writes only below it."""
    recipe: Mapping[str, Any]
    """The resolved recipe as plain data; values of keys such as `api_key` are hidden."""
    seed: int
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class StageEnd:
    """A finished stage."""

    stage: str
    seconds: float
    """Wall-clock seconds of the run that did the work."""
    reused: bool
    """Whether it was finished by an earlier run, so that nothing was done now."""


@dataclass(frozen=True)
class Figures:
    """What was measured in one training step, or at the end of one epoch."""

    step: int
    """Optimiser steps done, from 1. After a resume a step can come again, with equal figures."""
    epoch: int
    """From 0."""
    values: Mapping[str, float]
    """By name, such as `loss`; with several learners `learner.loss`."""
