"""The training loop: rounds, steps, checkpoints and evaluations, whatever the method.

A run that was stopped continues from its newest checkpoint and gives the same bits as one that
was not: batches, views, draws and dropout depend on (seed, epoch, step, image) alone.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.backbone.encode import encode_cached_images
from latte.data.batches import epoch_batches, training_batches
from latte.interfaces import (
    Batch,
    EpochInfo,
    FeatureBank,
    Posterior,
    Progress,
    ProgressTask,
)
from latte.results.metrics_log import MetricsLog
from latte.toolkit.seeds import seed_from
from latte.train.checkpoint import keep_checkpoint, resume
from latte.train.constant_features import keep_constant_features
from latte.train.learner import Learner, learning_rate_factor, set_learning_rate
from latte.train.micro_batch import find_micro_batch_size, lack_explained
from latte.train.step import StepOutcome, training_step
from latte.train.timing import (
    CHECKPOINTS,
    EVALUATION,
    FITTING,
    ROUNDS,
    WAITING,
    timed,
    timed_items,
    timed_step,
)
from latte.train.training import Training

Figures = dict[str, float | Tensor]
"""Tensors stay on the device until the rows are written: reading one waits for its step."""
_SECONDS_SHOWN = 1.0


def train(training: Training, progress: Progress) -> None:
    """Train all learners to the end, continuing from a checkpoint if there is one.

    Without a step, labelers and prototypes have the start of one epoch: features are the frozen
    ones, and nothing is encoded or kept in checkpoints.
    """
    _start(training, progress)
    with timed(FITTING):
        find_micro_batch_size(training, progress)
    step = resume(training.folder / "checkpoints", training.learners, training.labelers)
    log = MetricsLog(training.folder / "metrics.jsonl", step, training.listen)
    total = training.total_steps
    if step:
        progress.say(f"train: continuing after step {step} of {total}")
    for note in dict.fromkeys(note for one in training.learners for note in one.backbone.notes):
        progress.say(f"train: {note}")
    if total:
        with progress.task("train", total, "step", done=step) as task:
            while step < total:
                step = _epoch(training, step, log, task, progress)
    else:
        with timed(ROUNDS):
            _begin_round(training, 0, progress)
    _refresh_class_features(training, ("epoch", "step"))


def own_posterior(training: Training) -> Posterior | None:
    """The posterior of the training images after `train`, if the run takes no step.

    Of several labelers the last that has one counts; see `PseudoLabeler.posterior`.
    """
    if training.total_steps:
        return None
    learner = training.learners[0].name
    found = [labeler.posterior(learner) for labeler in training.labelers]
    return next((one for one in reversed(found) if one is not None), None)


def _start(training: Training, progress: Progress) -> None:
    for learner in training.learners:
        learner.aggregator.start(training.start)
        if distributed.world_size() > 1:
            learner.find_what_trains()
        if training.total_steps:
            keep_constant_features(
                learner,
                training.inputs,
                training.start,
                training.settings,
                training.bank_features,
                progress,
            )
    for labeler in training.labelers:
        labeler.start(training.start)


def _epoch(
    training: Training, step: int, log: MetricsLog, task: ProgressTask, progress: Progress
) -> int:
    """The epoch that contains `step`, from there on; returns the step after it."""
    per_epoch, total = training.steps_per_epoch, training.total_steps
    epoch, done = divmod(step, per_epoch)
    if done == 0:
        with timed(ROUNDS):
            _begin_round(training, epoch, progress)
    settings = training.settings
    batches = epoch_batches(
        len(training.images), settings.images_a_step, training.inputs.seed, epoch
    )[done : done + total - step]
    rows: list[Mapping[str, Any]] = []
    shown = _ShownLoss()
    with contextlib.closing(_views(training, batches, epoch)) as views:
        for indices, pixels in timed_items(WAITING, views):
            with timed_step(len(indices)), lack_explained(training.settings):
                figures = _step(training, indices, pixels, epoch, step)
            step += 1
            rows.append({"event": "step", "step": step, "epoch": epoch, **figures})
            task.advance(1, epoch=epoch, loss=shown.of(figures))
            last = step % per_epoch == 0 or step == total
            if last or step % settings.checkpoint_every == 0:
                log.append([_read(row) for row in rows])
                rows = []
            if last:
                _end_epoch(training, step, epoch, log)
            if step % settings.checkpoint_every == 0 or step == total:
                folder = training.folder / "checkpoints"
                with timed(CHECKPOINTS):
                    keep_checkpoint(folder, step, training.learners, training.labelers)
    return step


def _views(
    training: Training, batches: Sequence[Tensor], epoch: int
) -> Generator[tuple[Tensor, Tensor | None], None, None]:
    """Indices (B,) and pixels of each batch; no pixels where no learner would look at them.

    Of several processes each gets the pixels of its own share.
    """
    if all(learner.constant_features is not None for learner in training.learners):
        yield from ((indices, None) for indices in batches)
        return
    own = [distributed.share(indices) for indices in batches]
    with contextlib.closing(_own_views(training, own, epoch)) as views:
        for indices, (_, pixels) in zip(batches, views, strict=True):
            yield indices, pixels


def _own_views(
    training: Training, batches: Sequence[Tensor], epoch: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    if training.device_views is not None:
        yield from training.device_views.batches(batches, epoch)
    else:
        yield from training_batches(training.images, training.view, batches, epoch)


def _begin_round(training: Training, epoch: int, progress: Progress) -> None:
    """What happens before the first step of an epoch: class texts, feature banks, labelers."""
    if epoch:
        _refresh_class_features(training, ("epoch", "step"))
    due = [one for one in training.labelers if epoch == 0 or one.refresh == "epoch"]
    banks: Mapping[str, FeatureBank] = {}
    if any(labeler.needs_feature_banks for labeler in due):
        banks = {one.name: _feature_bank(training, one, progress) for one in training.learners}
    aggregators = {one.name: one.aggregator for one in training.learners}
    infos = [
        labeler.on_epoch_start(banks if labeler.needs_feature_banks else {}, aggregators, epoch)
        for labeler in due
    ]
    classifiers = {name: value for info in infos for name, value in info.classifiers.items()}
    for learner in training.learners:
        learner.aggregator.on_epoch_start(EpochInfo(classifiers), learner.name)


def _step(
    training: Training, indices: Tensor, pixels: Tensor | None, epoch: int, step: int
) -> Figures:
    figures: Figures = {}
    for learner in training.learners:
        rate = learner.peak_learning_rate * learning_rate_factor(
            step, training.total_steps, training.settings
        )
        if learner.optimizer is not None:
            set_learning_rate(learner.optimizer, rate)
        _seed_global_generators(training.inputs.seed, step, learner.name)
        batch = Batch(learner.name, indices, epoch, step)
        outcome = training_step(learner, training.inputs, batch, pixels)
        prefix = "" if len(training.learners) == 1 else f"{learner.name}."
        figures |= {prefix + name: value for name, value in _figures(learner, outcome).items()}
        figures[f"{prefix}learning_rate"] = rate
    return figures


def _figures(learner: Learner, outcome: StepOutcome) -> Figures:
    figures: Figures = {"loss": outcome.loss}
    if outcome.agreement is not None:
        figures["agreement"] = outcome.agreement
    # A copy, for an optimiser writes into the tensor that a backbone may hand out.
    figures["logit_scale"] = learner.backbone.logit_scale.detach().clone()
    return figures | learner.scaler.figures()


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.item() if isinstance(value, Tensor) else value for name, value in row.items()
    }


class _ShownLoss:
    """The loss as the progress display shows it, fetched from the device once a second at most."""

    def __init__(self) -> None:
        self._fetched = -math.inf
        self._text = ""

    def of(self, figures: Mapping[str, float | Tensor]) -> str:
        now = time.monotonic()
        if now >= self._fetched + _SECONDS_SHOWN:
            losses = [float(value) for name, value in figures.items() if name.endswith("loss")]
            self._fetched, self._text = now, f"{sum(losses):.3f}"
        return self._text


def _end_epoch(training: Training, step: int, epoch: int, log: MetricsLog) -> None:
    figures: Mapping[str, float] = {}
    every = training.settings.evaluate_every
    if training.evaluate is not None and every and (epoch + 1) % every == 0:
        _refresh_class_features(training, ("epoch", "step"))
        with timed(EVALUATION):
            figures = training.evaluate(training.learners)
    log.append([{"event": "epoch", "epoch": epoch, "step": step, **figures}])


def _feature_bank(training: Training, learner: Learner, progress: Progress) -> FeatureBank:
    if training.total_steps == 0 or not learner.image_tower_trains:
        return FeatureBank(training.start.image_features)
    name, size = f"features of {learner.name}", training.evaluation_batch_size
    features = encode_cached_images(learner.backbone, training.images, size, progress, name)
    return FeatureBank(features.to(training.start.image_features.device))


def _refresh_class_features(training: Training, when: tuple[str, ...]) -> None:
    with torch.no_grad():
        for learner in training.learners:
            if learner.aggregator.class_features_refresh in when:
                fresh = training.inputs.class_texts.features(learner.backbone.encode_texts)
                learner.aggregator.refresh_class_features(fresh)


def _seed_global_generators(seed: int, step: int, learner: str) -> None:
    """Dropout and plugins that draw from torch's own generator repeat after a restart, too."""
    torch.manual_seed(seed_from(f"step of {learner}", seed, step))
