"""What a finished run knows about itself, and the reporters that show it to people."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.interfaces.classifier import Classifier
from latte.interfaces.component import Component, OptionsT
from latte.interfaces.dataset import ImageReference
from latte.interfaces.events import Figures, RunStart, StageEnd
from latte.interfaces.gate import HeldBack
from latte.interfaces.guard import Verdict

OWN_IMAGES = ", own images"
"""Ends the names of evaluations on test images that are training images, too: see `Posterior`."""


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
    """`zero-shot`, `adapted`, `candidate`, one of these followed by `OWN_IMAGES`, or a control's
    name."""
    images: int
    top1: Interval
    top5: float
    mean_per_class: float
    classes: tuple[ClassAccuracy, ...]
    """In label order."""
    gain: Interval | None
    """Top-1 minus zero-shot top-1 on the same images (paired); None for zero-shot itself."""


@dataclass(frozen=True)
class Calibration:
    """How a run's confidence was set without labels, and how good that turned out to be."""

    scale: float
    """What similarities are multiplied with before softmax, in place of the model's logit scale."""
    logit_scale: float
    """The model's own."""
    expected_accuracy: float
    """What mean confidence was made to be on the training images: an estimate without labels."""
    images: int
    """Training images that it was found on."""
    error: float | None = None
    """Expected calibration error on the labelled evaluation images, which had no part in it."""
    uncalibrated_error: float | None = None
    """The same with the model's own logit scale."""

    @property
    def temperature(self) -> float:
        """What the model's logits are divided by: above 1 where it would be too sure."""
        return self.logit_scale / self.scale


@dataclass(frozen=True)
class PresentNames:
    """An estimate of how many of the class names occur among the training images."""

    expected: int
    """Estimated number of classes with at least one image."""
    low: int
    """Of the 95 % interval, as `high`."""
    high: int
    unsupported: tuple[str, ...]
    """Names with fewer than 0.5 estimated images, in label order."""


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
class Confusion:
    """How many evaluation images of one class a classifier gave to one class, maybe the same."""

    true: int
    predicted: int
    images: int


@dataclass(frozen=True)
class LabelFlow:
    """How many training images have this frozen and this adapted pseudo-label, maybe the same."""

    frozen: int
    adapted: int
    images: int


@dataclass(frozen=True)
class LearnerPrototypes:
    """One learner's class prototypes, on the CPU, in the joint embedding space of width D."""

    learner: str
    before: Classifier
    """The frozen CLIP's class texts (C, D): what zero-shot classifies with."""
    after: Classifier
    """The adapted ones (C·K, D)."""


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
    """Rows of `metrics.jsonl`: `event` is `step` or `epoch` (`latte/results/metrics_log.py`)."""
    evaluations: tuple[Evaluation, ...]
    """Zero-shot first, then adapted, then controls; empty without an evaluation split. Where a
    posterior answers test images that are training images, both follow on these images alone, with
    `OWN_IMAGES` in their names, and the first two are measured with the classifier on the others
    (on all, if there are no others). Where the run did not take all of its candidate, `candidate`
    follows adapted, and what its posterior answers is `candidate` with `OWN_IMAGES`."""
    gallery: tuple[GalleryEntry, ...]
    """A sample of the training images, drawn from the seed."""
    pseudo_label_counts: tuple[tuple[int, int], ...]
    """Training images per class, in label order: (frozen label, adapted label)."""
    verdict: Verdict | None = None
    """What the recipe's guard said; None without a guard. Below strength 1 the candidate lies in
    `candidate/` of the run folder."""
    held_back: tuple[HeldBack, ...] = ()
    """What each of the recipe's gates did to each description, in the recipe's order of both."""
    calibration: Calibration | None = None
    """How confidence was set; None in runs of versions that did not."""
    present: PresentNames | None = None
    """Which class names occur among the training images; None in runs of versions that did not
    estimate it."""
    confusions: Mapping[str, tuple[Confusion, ...]] = field(default_factory=dict)
    """`zero-shot` and `adapted` on the evaluation split: the pairs of classes that occur, largest
    number of images first; empty without labels."""
    label_flows: tuple[LabelFlow, ...] = ()
    """The pairs of pseudo-labels that occur among all training images, largest first."""
    prototypes: tuple[LearnerPrototypes, ...] = field(default=(), compare=False)
    """Of each learner, in the recipe's order; tensors, which `==` leaves out."""
    peak_memory_mb: Mapping[str, float] = field(default_factory=dict)
    """By stage, in MiB: of the GPU where there is one, else of the process, which keeps what
    earlier stages freed. Stages whose peak is not known are left out."""


class Reporter(Component[OptionsT]):
    """Writes something that people read or other programs load.

    `report` is all that a reporter needs. The other methods are called while a run goes on, in
    the order in which they stand here, on the same object; they do nothing unless overridden.
    `latte report` calls `report` alone, so that it must not rely on them. An exception in one of
    them costs no run: it is one line of warning, and this reporter hears nothing more of that run.
    Controls of a recipe are runs of their own that no reporter hears of.
    """

    def on_run_start(self, run: RunStart) -> None:
        """The recipe and its images are known; nothing has been computed yet."""

    def on_stage_start(self, stage: str) -> None:
        """Stage `data`, `zero-shot`, `describe`, `train`, `evaluate` or `report` begins to work."""

    def on_steps(self, steps: Sequence[Figures]) -> None:
        """Training steps, in order: those that `metrics.jsonl` has just got, never one by one.

        They come when a checkpoint is written or an epoch ends, so that hearing of them makes no
        device wait. A run that is continued goes on after its last checkpoint: steps that were sent
        after it come again, with equal figures and numbers.
        """

    def on_epoch_end(self, epoch: Figures) -> None:
        """An epoch is over; has `top1`, `confidence` and `margin` where it was evaluated."""

    def on_stage_end(self, stage: StageEnd) -> None:
        """A stage is finished; called without `on_stage_start` for one that is reused."""

    @abstractmethod
    def report(self, results: RunResults) -> list[Path]:
        """Write files below `results.folder` (temporary name, then rename); returns their paths."""

    def on_run_end(self) -> None:
        """All stages that were asked for are finished; `report` was called if it was one."""

    def on_run_failure(self, error: BaseException) -> None:
        """The run ends with `error`, which may be a `KeyboardInterrupt`; instead of `on_run_end`.

        A process that is killed says nothing: do not rely on hearing how a run ended.
        """
