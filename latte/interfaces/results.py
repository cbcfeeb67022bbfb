"""What a finished run knows about itself, and the reporters that show it to people."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.interfaces.component import Component, OptionsT
from latte.interfaces.dataset import ImageReference
from latte.interfaces.gate import HeldBack
from latte.interfaces.guard import Verdict


@dataclass(frozen=True)
class Interval:
    """A measured value and its 95 % interval, all as fractions."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassAccuracy:
    """How many of a class's evaluation images were classified right."""

    correct: int
    images: int


@dataclass(frozen=True)
class Evaluation:
    """One classifier on the evaluation split."""

    name: str
    """`zero-shot`, `adapted`, or a control's name."""
    images: int
    top1: Interval
    top5: float
    mean_per_class: float
    classes: tuple[ClassAccuracy, ...]
    """In label order."""
    gain: Interval | None
    """Top-1 minus zero-shot top-1 on the same images (paired); None for zero-shot itself."""


@dataclass(frozen=True)
class Described:
    """One description of a training image: its texts, and the group that they are about."""

    text: str
    group: tuple[ImageReference, ...] = ()
    """For scope `group` the images shown to the describer, in order; empty for scope `image`."""
    others: tuple[str, ...] = ()
    """Further texts, where several prompts or samples were asked for."""


@dataclass(frozen=True)
class GalleryEntry:
    """A training image with everything that taught the model about it."""

    image: ImageReference
    descriptions: Mapping[str, Described]
    """By description name, in the recipe's order; class-scope descriptions are left out."""
    frozen_label: int
    adapted_label: int
    true_label: int | None
    """Where the dataset knows it; unless the recipe is an oracle, it reached this report alone."""


@dataclass(frozen=True)
class RunResults:
    """Everything that a report may state: measured by this run, or None."""

    folder: Path
    """The run folder; a reporter writes only below it."""
    name: str
    recipe: Mapping[str, Any]
    """The resolved recipe as plain data."""
    environment: Mapping[str, Any]
    class_names: tuple[str, ...]
    training_images: int
    skipped_images: int
    seconds: Mapping[str, float]
    """Wall-clock seconds by stage, of the run that did the work."""
    metrics: tuple[Mapping[str, Any], ...]
    """The rows of `metrics.jsonl`: `event` is `step` or `epoch`, see `latte/adapt/metrics.py`."""
    evaluations: tuple[Evaluation, ...]
    """Zero-shot first, then adapted, then controls; empty without an evaluation split."""
    gallery: tuple[GalleryEntry, ...]
    """A sample of the training images, drawn from the seed."""
    pseudo_label_counts: tuple[tuple[int, int], ...]
    """Training images per class, in label order: (frozen label, adapted label)."""
    verdict: Verdict | None = None
    """What the recipe's guard said; None without a guard."""
    held_back: tuple[HeldBack, ...] = ()
    """What each of the recipe's gates did to each description, in the recipe's order of both."""
    peak_memory_mb: Mapping[str, float] = field(default_factory=dict)
    """MiB by stage, of the GPU or without one of the process; empty where it is not known."""


class Reporter(Component[OptionsT]):
    """Writes something that people read or other programs load."""

    @abstractmethod
    def report(self, results: RunResults) -> list[Path]:
        """Write files below `results.folder` (temporary name, then rename); returns their paths."""
