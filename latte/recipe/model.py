"""A recipe after validation: settings and chosen components, ready to build."""

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
    """Package that provides it, and its version, for records."""
    version: str
    label: str
    """`name:` in the recipe, else the component's short name; unique among its siblings."""
    options: Options
    by: str | None = None
    """Of a description: the label of the describer that it asks; None: the recipe's first."""


@dataclass(frozen=True)
class LearnerChoice:
    """One learner: what trains, its prototypes and its loss."""

    settings: LearnerSettings
    prototypes: Choice
    loss: Choice | None
    """None only where nothing is trained."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a run needs to know, complete and valid."""

    path: Path
    general: GeneralSettings
    backbone: BackboneSettings
    dataset: Choice
    guard: Choice | None
    describers: tuple[Choice, ...]
    """Those that the recipe lists, or the single one; the first is asked where none is named."""
    descriptions: tuple[Choice, ...]
    gates: tuple[Choice, ...]
    """What judges the texts of describers, one after another."""
    labels: tuple[Choice, ...]
    learners: tuple[LearnerChoice, ...]
    """At least one. Top-level `trainable`, `prototypes`, `loss` make a single learner `main`."""
    train: TrainSettings
    evaluate: EvaluateSettings
    reporters: tuple[Choice, ...]
    controls: Mapping[str, Recipe] = field(default_factory=dict)
    """Variants that run beside this recipe for comparison, by name; they have none themselves."""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    """The whole recipe as plain data, every default filled in, loadable as a recipe again."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Dotted key path -> where its value came from: `file:line` (with each `${VAR}` that was
    expanded in it), `--set` or `default`."""
    bases: tuple[Path, ...] = ()
    """Files that it extends, those further away included."""

    @property
    def base_dir(self) -> Path:
        """Relative paths in options start here."""
        return self.path.parent

    @property
    def asked(self) -> dict[str, str]:
        """By description: the label of the describer that it asks, if the recipe has any."""
        first = next((one.label for one in self.describers), None)
        asked = {choice.label: choice.by or first for choice in self.descriptions}
        return {label: describer for label, describer in asked.items() if describer}
