"""The inputs of the training loop: settings, images, learners and run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from latte.data.cache import ImageCache
from latte.data.views import TrainingView
from latte.interfaces import PseudoLabeler, TrainingStart, Trunk
from latte.interfaces.settings import TrainSettings
from latte.results.metrics_log import Listen
from latte.train.features import StepInputs
from latte.train.fit import Method
from latte.train.learner import Learner

BankFeatures = Callable[[], Tensor]
"""Function that returns the frozen CLIP's features (M, D) of `DescriptionBank.unique_texts`."""
ImageStates = Callable[[Trunk, Sequence[str]], Tensor]
"""Function from the tower in two parts (frozen layers, other layers), and the names of its trained
parameters, to the frozen layers' outputs (N, W) for the training images."""
Evaluate = Callable[[Sequence[Learner]], Mapping[str, float]]


@dataclass(frozen=True)
class Training:
    """All inputs of the training loop. They contain no ground-truth labels."""

    settings: TrainSettings
    inputs: StepInputs
    start: TrainingStart
    images: ImageCache
    """The N training images, decoded once."""
    view: TrainingView
    learners: Sequence[Learner]
    folder: Path
    evaluation_batch_size: int
    evaluate: Evaluate | None
    """Measures the current learners; None if there are no labelled images."""
    bank_features: BankFeatures | None = None
    """Returns the frozen CLIP's features of all texts; if None, training encodes the texts."""
    image_states: ImageStates | None = None
    """Returns the outputs of frozen layers for all training images; None: not cached."""
    listen: Listen | None = None
    clock: Callable[[], float] = time.monotonic
    """Returns the time in seconds; it determines when checkpoints are due."""

    @property
    def labelers(self) -> Sequence[PseudoLabeler[Any]]:
        """Pseudo-labelers, which all learners share."""
        return self.inputs.labelers

    @property
    def method(self) -> Method:
        """The labelers, by their numbers, and the learners' prototypes."""
        labelers = {str(number): labeler for number, labeler in enumerate(self.labelers)}
        return Method(labelers, {learner.name: learner.aggregator for learner in self.learners})

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch, ceil(N / batch size): every image occurs once per epoch."""
        return math.ceil(len(self.images) / self.settings.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run: until `max_steps` or `max_epochs`, whichever comes first."""
        epochs = self.settings.max_epochs
        return min(self.settings.max_steps, epochs * self.steps_per_epoch)

    def ends_epoch(self, step: int) -> bool:
        """Return True if step `step` (from 1) is the last of its epoch, or of the run."""
        return step % self.steps_per_epoch == 0 or step == self.total_steps
