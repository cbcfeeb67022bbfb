"""The training loop: epochs, steps, checkpoints and evaluations, the same for every method.

A resumed run is bit-identical to an uninterrupted run, because batches, views, random draws and
dropout depend only on (seed, epoch, step, image).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.backbone.encode import encode_cached_images
from latte.backbone.precision import encoding_in
from latte.data.batches import epoch_batches, training_batches
from latte.interfaces import (
    Batch,
    FeatureBank,
    LatteError,
    Progress,
)
from latte.results.metrics_log import MetricsLog
from latte.toolkit.seeds import seed_from
from latte.train.caching import choose_encoders
from latte.train.checkpoint import Checkpoints, resume
from latte.train.encoding import ImagesFromStates
from latte.train.learner import Learner, learning_rate_factor, loss_parameters
from latte.train.memory import explain_out_of_memory
from latte.train.step import training_step
from latte.train.timing import (
    EPOCH_STARTS,
    EVALUATION,
    WAITING,
    timed,
    timed_items,
    timed_step,
)
from latte.train.training import Training
from latte.train.waiting import Waiting

LoggedNumbers = dict[str, float | Tensor]
"""Numbers for the log. A tensor stays on the device until its row is written, so that nothing
waits."""
_SECONDS_BETWEEN_LOSSES = 1.0
_SIGMOID = (
    "this CLIP was pretrained with a sigmoid loss, and is now trained with another loss. "
    "Users report difficulties with that (github.com/mlfoundations/open_clip/issues/1076): "
    "use loss: sigmoid, or compare with trainable: none"
)


def train(training: Training, progress: Progress) -> None:
    """Train all learners to the end, continuing from a checkpoint if there is one.

    Raises `LatteError` if a labeler returns a classifier for an encoder.
    """
    _start(training, progress)
    step = resume(training.folder / "checkpoints", training.learners, training.labelers)
    log = MetricsLog(training.folder / "metrics.jsonl", step, training.listen)
    if step:
        progress.say(f"train: continuing after step {step} of {training.total_steps}")
    for note in dict.fromkeys(note for learner in training.learners for note in _notes(learner)):
        progress.say(f"train: {note}")
    _train_steps(training, step, log, progress)
    _refresh_class_features(training)


def _notes(learner: Learner) -> Iterator[str]:
    yield from learner.backbone.notes
    loss_fits = learner.loss is None or learner.loss.sigmoid
    if learner.trained_in_backbone and learner.backbone.logit_bias is not None and not loss_fits:
        yield _SIGMOID


def _start(training: Training, progress: Progress) -> None:
    training.method.start(training.start)
    for learner in training.learners:
        if training.settings.gradient_checkpointing:
            learner.backbone.recompute_activations()
        choose_encoders(training, learner, progress)


def _train_steps(training: Training, step: int, log: MetricsLog, progress: Progress) -> None:
    """Train from step `step` to the last step: write metrics and checkpoints, evaluate epochs.

    A `KeyboardInterrupt` gets a note that says where the training would continue.
    """
    checkpoints, shown_loss = Checkpoints(training, step), _ShownLoss()
    unwritten_steps: list[_FinishedStep] = []
    total, steps = training.total_steps, _steps(training, step, progress)
    with progress.task("train", total, "steps", done=step) as task, contextlib.closing(steps):
        try:
            for finished_step in steps:
                unwritten_steps.append(finished_step)
                task.advance(
                    1, epoch=finished_step.epoch, loss=shown_loss.of(finished_step.figures)
                )
                ends_epoch = training.ends_epoch(finished_step.step)
                is_due = checkpoints.is_due(finished_step.step)
                if ends_epoch or is_due:
                    log.append([unwritten_step.row() for unwritten_step in unwritten_steps])
                    unwritten_steps = []
                if ends_epoch:
                    _end_epoch(training, finished_step, log)
                if is_due:
                    checkpoints.save(finished_step.step)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(checkpoints.continuation())
            raise


@dataclass(frozen=True)
class _FinishedStep:
    """A training step that is done: its number in the run (from 1), its epoch and figures."""

    step: int
    epoch: int
    figures: LoggedNumbers

    def row(self) -> dict[str, Any]:
        """Return the row for `metrics.jsonl`. Waits for figures that are still on the device."""
        figures = {
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in self.figures.items()
        }
        return {"event": "step", "step": self.step, "epoch": self.epoch, **figures}


def _steps(
    training: Training, step: int, progress: Progress
) -> Generator[_FinishedStep, None, None]:
    """Train epoch after epoch from step `step` on; yield each step when it is done."""
    waiting = Waiting(training.view)
    while step < training.total_steps:
        epoch, step_in_epoch = divmod(step, training.steps_per_epoch)
        if step_in_epoch == 0:
            with timed(EPOCH_STARTS):
                _start_epoch(training, epoch, progress)
        steps_left = training.total_steps - step
        batches = _batches(training, epoch)[step_in_epoch : step_in_epoch + steps_left]
        with contextlib.closing(_views(training, batches, epoch)) as views:
            for indices, pixels in timed_items(WAITING, waiting.measured(views)):
                size = len(indices)
                with timed_step(size), explain_out_of_memory(training.settings, size):
                    figures = _step(training, indices, pixels, epoch, step)
                step += 1
                yield _FinishedStep(step, epoch, figures)
        if advice := waiting.advice():
            progress.say(f"train: {advice}")


def _batches(training: Training, epoch: int) -> list[Tensor]:
    size, seed = training.settings.batch_size, training.inputs.seed
    return epoch_batches(len(training.images), size, seed, epoch)


def _views(
    training: Training, batches: Sequence[Tensor], epoch: int
) -> Generator[tuple[Tensor, Tensor | None], None, None]:
    """Yield the indices (B,) of each batch, and the pixels that this process needs, or None."""
    if any(learner.images.needs_pixels for learner in training.learners):
        yield from _pixels(training, batches, epoch)
    else:
        yield from ((indices, None) for indices in batches)


def _pixels(
    training: Training, batches: Sequence[Tensor], epoch: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    process_batches = [distributed.share(indices) for indices in batches]
    device = training.learners[0].device
    views = training_batches(training.images, training.view, process_batches, epoch, device)
    with contextlib.closing(views):
        for indices, (_, pixels) in zip(batches, views, strict=True):
            yield indices, pixels


def _start_epoch(training: Training, epoch: int, progress: Progress) -> None:
    if epoch:
        _refresh_class_features(training)
    learners = {learner.name: learner for learner in training.learners}

    def bank_of(learner: str) -> FeatureBank:
        return _feature_bank(training, learners[learner], progress)

    if encoders := training.method.start_epoch(epoch, bank_of, training.start):
        raise LatteError(
            f"a labeler returned a classifier for the encoder {next(iter(encoders))}, and a model "
            "that is trained has none",
            where="encoders",
            hint="train: {max_steps: 0} trains nothing; or use a labeler that uses encoders for "
            "its labels alone",
        )


def _step(
    training: Training, indices: Tensor, pixels: Tensor | None, epoch: int, step: int
) -> LoggedNumbers:
    factor = learning_rate_factor(step, training.total_steps, training.settings)
    figures: LoggedNumbers = {}
    for learner in training.learners:
        rate = learner.peak_learning_rate * factor
        for group in learner.optimizer.param_groups if learner.optimizer else []:
            group["lr"] = rate
        # Makes dropout repeatable, and plugins that use torch's global generator.
        torch.manual_seed(seed_from(f"step of {learner.name}", training.inputs.seed, step))
        batch = Batch(learner.name, indices, epoch, step)
        outcome = training_step(learner, training.inputs, batch, pixels)
        learner_figures: LoggedNumbers = {"loss": outcome.loss}
        if outcome.agreement is not None:
            learner_figures["agreement"] = outcome.agreement
        # Cloned, as a backbone may return the tensor that the optimiser changes in place.
        learner_figures["logit_scale"] = learner.backbone.logit_scale.detach().clone()
        learner_figures |= {
            name: parameter.detach().clone()
            for name, parameter in loss_parameters(learner.loss).items()
            if parameter.numel() == 1
        }
        learner_figures |= learner.scaler.figures()
        learner_figures["learning_rate"] = rate
        prefix = "" if len(training.learners) == 1 else f"{learner.name}."
        figures |= {prefix + name: value for name, value in learner_figures.items()}
    return figures


class _ShownLoss:
    def __init__(self) -> None:
        self._fetched = -math.inf
        self._text = ""

    def of(self, figures: Mapping[str, float | Tensor]) -> str:
        now = time.monotonic()
        if now >= self._fetched + _SECONDS_BETWEEN_LOSSES:
            losses = [value for name, value in figures.items() if name.split(".")[-1] == "loss"]
            total = sum(float(loss) for loss in losses)
            self._fetched, self._text = now, f"{total:.3f}"
        return self._text


def _end_epoch(training: Training, finished_step: _FinishedStep, log: MetricsLog) -> None:
    figures: Mapping[str, float] = {}
    epoch, interval = finished_step.epoch, training.settings.evaluate_every
    if training.evaluate is not None and interval and (epoch + 1) % interval == 0:
        _refresh_class_features(training)
        with timed(EVALUATION):
            figures = training.evaluate(training.learners)
    log.append([{"event": "epoch", "epoch": epoch, "step": finished_step.step, **figures}])


def _feature_bank(training: Training, learner: Learner, progress: Progress) -> FeatureBank:
    if not learner.images.trains:
        return FeatureBank(training.start.image_features)
    if isinstance(learner.images, ImagesFromStates):
        features = learner.images.all_features()
        return FeatureBank(features.to(training.start.image_features.device))
    name, size = f"features of {learner.name}", training.evaluation_batch_size
    with encoding_in(learner.arithmetic, learner.device):
        features = encode_cached_images(learner.backbone, training.images, size, progress, name)
    return FeatureBank(features.to(training.start.image_features.device))


def _refresh_class_features(training: Training) -> None:
    with torch.no_grad():
        for learner in training.learners:
            if learner.aggregator.class_features_refresh in ("epoch", "step"):
                with encoding_in(learner.arithmetic, learner.device):
                    class_features = training.inputs.class_texts.features(
                        learner.backbone.encode_texts
                    )
                learner.aggregator.refresh_class_features(class_features)
