"""What a training needs: settings, images, learners, and where its files go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte.data.cache import ImageCache
from latte.data.device_views import DeviceViews
from latte.data.views import TrainingView
from latte.interfaces import PseudoLabeler, TrainingStart
from latte.interfaces.settings import TrainSettings
from latte.results.metrics_log import Listen
from latte.train.constant_features import BankFeatures
from latte.train.learner import Learner
from latte.train.step import StepInputs

Evaluate = Callable[[Sequence[Learner]], Mapping[str, float]]


@dataclass(frozen=True)
class Training:
    """Everything that the loop needs; labels of images are not among it."""

    settings: TrainSettings
    inputs: StepInputs
    start: TrainingStart
    images: ImageCache
    """The N training images, decoded once."""
    view: TrainingView
    learners: Sequence[Learner]
    folder: Path
    """The run folder: metrics and checkpoints go there."""
    evaluation_batch_size: int
    evaluate: Evaluate | None
    """Figures of the learners as they are, where labelled images exist."""
    bank_features: BankFeatures | None = None
    """Features of the bank's texts by the frozen CLIP; None: encoded here, where they are used."""
    listen: Listen | None = None
    """Told of rows once they are written."""

    device_views: DeviceViews | None = None
    """Where images are resident on the device: their views in place of `view`'s."""

    @property
    def labelers(self) -> Sequence[PseudoLabeler[Any]]:
        """The pseudo-labelers, which all learners share."""
        return self.inputs.labelers

    @property
    def steps_per_epoch(self) -> int:
        """ceil(N / batch size): every image is seen once an epoch."""
        return math.ceil(len(self.images) / self.settings.images_a_step)

    @property
    def total_steps(self) -> int:
        """Steps of a whole run: `max_steps` or `max_epochs`, whichever is reached first."""
        epochs = self.settings.max_epochs
        return min(self.settings.max_steps, epochs * self.steps_per_epoch)
