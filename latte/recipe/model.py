"""Data classes of a valid recipe: its settings, and the components that it uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from latte.interfaces import Options
from latte.interfaces.settings import (
    EvaluateSettings,
    GeneralSettings,
    LearnerSettings,
    TrainSettings,
)
from latte.registry.spec import Registered


@dataclass(frozen=True)
class Choice(Registered):
    """One component that a recipe uses: `{use: NAME, name: LABEL, ...options}`."""

    label: str
    """The key `name` in the recipe, else the component's short name; unique within its list."""
    options: Options
    by: str | None = None
    """Label of the describer that a description asks; None means the recipe's first describer."""


@dataclass(frozen=True)
class LearnerChoice:
    """One learner (adapted copy of CLIP): settings, trainable parameters, prototypes and loss."""

    settings: LearnerSettings
    trainable: Choice
    prototypes: Choice
    loss: Choice | None
    """Chosen loss; None only if the recipe has no training steps."""


@dataclass(frozen=True)
class Recipe:
    """A complete and valid recipe: all settings and components that a run needs."""

    path: Path
    general: GeneralSettings
    backbone: Choice
    dataset: Choice
    guard: Choice | None
    describers: tuple[Choice, ...]
    descriptions: tuple[Choice, ...]
    gates: tuple[Choice, ...]
    labels: tuple[Choice, ...]
    learners: tuple[LearnerChoice, ...]
    """Learners, at least one; without the key `learners`, the single learner `main`."""
    augmentation: Choice | None
    """Component that makes training views; if None, `train.augment` says how views are made."""
    train: TrainSettings
    evaluate: EvaluateSettings
    reporters: tuple[Choice, ...]
    controls: Mapping[str, Recipe] = field(default_factory=dict)
    """Variants of the recipe that run for comparison, by name; they have no controls themselves."""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    """The complete recipe with every default as plain data, which can be loaded as a recipe."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Origin of each value by dotted key path: `file:line`, `--set` or `default`, then the
    environment variables that were expanded in the value, such as `${VAR}`."""
    bases: tuple[Path, ...] = ()
    """Files that the recipe extends, directly or through another file."""
    saved_in: Path | None = None
    """The file in a run folder from which the recipe was loaded; None for a recipe of its own."""

    @property
    def base_dir(self) -> Path:
        """Folder to which paths in options are relative."""
        return self.path.parent

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All components of the recipe, of all kinds; components of controls are not included."""
        return tuple(_choices(getattr(self, one.name) for one in fields(self)))

    @property
    def asked(self) -> dict[str, str]:
        """Name of each description, mapped to the name of the describer that writes its texts."""
        first = next((one.label for one in self.describers), None)
        asked = {choice.label: choice.by or first for choice in self.descriptions}
        return {label: describer for label, describer in asked.items() if describer}

    @property
    def questioned(self) -> Choice | None:
        """Describer that a labeler asks questions; None if no labeler asks questions."""
        names = [one.options.questions_to for one in self.labels]
        name = next((one for one in names if one is not None), None)
        return next((one for one in self.describers if name in ("", one.label)), None)


def _choices(values: Iterable[object]) -> Iterator[Choice]:
    for value in values:
        if isinstance(value, Choice):
            yield value
        elif isinstance(value, LearnerChoice):
            yield from _choices((value.trainable, value.prototypes, value.loss))
        elif isinstance(value, tuple):
            yield from _choices(value)
