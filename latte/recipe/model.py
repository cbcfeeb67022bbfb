"""A valid recipe: settings and chosen components, ready to build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.interfaces import Options
from latte.interfaces.settings import (
    BackboneSettings,
    EvaluateSettings,
    GeneralSettings,
    LearnerSettings,
    TrainSettings,
)
from latte.registry.spec import ComponentSpec


@dataclass(frozen=True)
class Choice:
    """One component that a recipe uses: `{use: NAME, name: LABEL, ...options}`."""

    spec: ComponentSpec
    distribution: str
    """Package that provides it; it and its version are recorded."""
    version: str
    label: str
    """`name:` in the recipe, else the component's short name; unique among its siblings."""
    options: Options
    by: str | None = None
    """For a description: label of the describer that it asks; None: the recipe's first."""


@dataclass(frozen=True)
class LearnerChoice:
    """One learner: what trains, its prototypes and its loss."""

    settings: LearnerSettings
    prototypes: Choice
    loss: Choice | None
    """None only where nothing is trained."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a run needs, complete and valid."""

    path: Path
    general: GeneralSettings
    backbone: BackboneSettings
    dataset: Choice
    guard: Choice | None
    describers: tuple[Choice, ...]
    """The first is asked by descriptions that name none."""
    descriptions: tuple[Choice, ...]
    gates: tuple[Choice, ...]
    """Gates judge the texts of describers, one after another."""
    labels: tuple[Choice, ...]
    learners: tuple[LearnerChoice, ...]
    """At least one; top-level `trainable`, `prototypes` and `loss` make one called `main`."""
    train: TrainSettings
    evaluate: EvaluateSettings
    reporters: tuple[Choice, ...]
    controls: Mapping[str, Recipe] = field(default_factory=dict)
    """Variants that run for comparison, by name; they have no controls themselves."""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    """The complete recipe as plain data with every default, loadable as a recipe."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Origin of each value by dotted key path: `file:line` (with each `${VAR}` expanded in it),
    `--set` or `default`."""
    bases: tuple[Path, ...] = ()
    """Files that it extends, directly or not."""

    @property
    def base_dir(self) -> Path:
        """Folder to which paths in options are relative."""
        return self.path.parent

    @property
    def asked(self) -> dict[str, str]:
        """Label of the asked describer by description, if the recipe has describers."""
        first = next((one.label for one in self.describers), None)
        asked = {choice.label: choice.by or first for choice in self.descriptions}
        return {label: describer for label, describer in asked.items() if describer}
