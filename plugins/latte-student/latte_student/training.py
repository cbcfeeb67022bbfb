"""Train a network on soft labels, with checkpoints, until left-out images no longer gain."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from latte.api import Progress
from latte_student.batches import View, epoch_batches, pixels_of, steps_per_epoch
from latte_student.checkpoint import (
    Position,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from latte_student.head import fit_head
from latte_student.lesson import Lesson
from latte_student.network import Network
from latte_student.settings import DistilSettings

_SECONDS = 120.0
"""Seconds between two checkpoints of an epoch."""
_WEIGHT_DECAY = 0.05
_WARM_UP = 0.1
"""Share of all steps, at most one epoch, in which the learning rate grows linearly."""


def channels_last(module: nn.Module) -> nn.Module:
    """Return the module with its weights in the memory format that is fastest on a CPU."""
    to: Any = module.to  # its annotations lack this argument
    converted: nn.Module = to(memory_format=torch.channels_last)
    return converted


@dataclass
class Training:
    """Training of one student."""

    lesson: Lesson
    network: Network
    view: View
    """Random views of training images."""
    plain_view: View
    """Views for evaluation."""
    settings: DistilSettings
    folder: Path
    device: str

    @property
    def steps(self) -> int:
        """Number of steps of an epoch."""
        return steps_per_epoch(len(self.lesson.training), self.settings.batch_size)

    def run(self, progress: Progress) -> Position:
        """Train to the end, from the checkpoint if there is one; the network gets the best weights.

        Returns what was done. The same seed gives the same bits, however often it is stopped.
        """
        module = channels_last(self.network.module.to(self.device))
        state = TrainingState(module, self._optimizer(module), Position())
        fingerprint = self.settings.fingerprint(self.lesson.fingerprint)
        if load_checkpoint(self.folder, state, fingerprint):
            progress.say(f"going on after {state.position.step:,} steps")
        else:
            self._start(state, progress)
            save_checkpoint(self.folder, state, fingerprint)  # a full disk shows at once
        images, epochs = len(self.lesson.training), self.settings.epochs
        done = state.position.step * images // self.steps
        with progress.task("distil", epochs * images, "images", done) as task:
            while not self._is_finished(state.position):
                for size, loss in self._epoch(state, fingerprint):
                    task.advance(size, loss=loss)
        if state.best:
            module.load_state_dict(state.best)
        return state.position

    def _start(self, state: TrainingState, progress: Progress) -> None:
        """Fit the classifier to the features of given weights; the result is the first best."""
        if self.settings.weights is None:
            return
        size = self.network.pixel_format.size
        fit_head(state.module, self.lesson, self.plain_view, size, self.device, progress)
        if len(self.lesson.left_out):
            state.position.best_loss = self._left_out_loss(state.module)
            state.keep_best()

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        decayed = [weight for weight in module.parameters() if weight.ndim > 1]
        others = [weight for weight in module.parameters() if weight.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": _WEIGHT_DECAY},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.settings.rate)

    def _is_finished(self, position: Position) -> bool:
        epoch = len(position.losses)
        has_stalled = epoch - 1 - position.best_epoch >= self.settings.patience
        is_watched = len(self.lesson.left_out) > 0
        return epoch >= self.settings.epochs or (is_watched and has_stalled)

    def _epoch(self, state: TrainingState, fingerprint: str) -> Iterator[tuple[int, float]]:
        """Finish an epoch; yield the number of images and the loss of each step."""
        position = state.position
        epoch, first = divmod(position.step, self.steps)
        batches = epoch_batches(
            self.lesson.training, self.settings.batch_size, self.settings.seed, epoch
        )
        started = saved = time.monotonic()
        before = position.seconds
        for number, rows in enumerate(batches):
            if number < first:
                continue
            loss = self._step(state, rows, epoch)
            position.step += 1
            position.seconds = before + time.monotonic() - started
            if time.monotonic() - saved > _SECONDS and number + 1 < len(batches):
                save_checkpoint(self.folder, state, fingerprint)
                saved = time.monotonic()
            yield len(rows), loss
        self._end_epoch(state, epoch)
        position.seconds = before + time.monotonic() - started
        save_checkpoint(self.folder, state, fingerprint)

    def _end_epoch(self, state: TrainingState, epoch: int) -> None:
        position = state.position
        loss = self._left_out_loss(state.module)
        position.losses.append(loss)
        if loss < position.best_loss or not len(self.lesson.left_out):
            position.best_loss, position.best_epoch = loss, epoch
            state.keep_best()

    def _step(self, state: TrainingState, rows: Tensor, epoch: int) -> float:
        """Take an optimiser step on the images `rows`; return the loss."""
        torch.manual_seed(self.settings.seed * 1_000_003 + state.position.step)  # for dropout
        for group in state.optimizer.param_groups:
            group["lr"] = self.settings.rate * self._factor(state.position.step)
        self._set_training(state.module)
        loss = self._loss(state.module, rows, self.view, epoch)
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        return float(loss.detach())

    def _set_training(self, module: nn.Module) -> None:
        """Set the module to training; given weights keep their statistics of batch normalisation.

        Batches of few images would replace them by worse ones.
        """
        module.train()
        if self.settings.weights is not None:
            for layer in module.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    def _factor(self, step: int) -> float:
        """Return the factor of the learning rate: a linear warm-up, then a half cosine."""
        total = self.settings.epochs * self.steps
        warm_up = max(1, min(self.steps, round(_WARM_UP * total)))
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))

    def _left_out_loss(self, module: nn.Module) -> float:
        """Return the weighted loss of the left-out images; 0 if there are none."""
        module.eval()
        total = weight = 0.0
        with torch.inference_mode():
            for rows in torch.split(self.lesson.left_out, self.settings.batch_size):
                share = float(self.lesson.weights[rows].sum())
                total += share * float(self._loss(module, rows, self.plain_view, 0))
                weight += share
        return total / weight if weight else 0.0

    def _loss(self, module: nn.Module, rows: Tensor, view: View, epoch: int) -> Tensor:
        """Return the weighted mean cross-entropy of soft labels and the network's classes."""
        size = self.network.pixel_format.size
        pixels = pixels_of(self.lesson.images, rows, view, size, epoch)
        logits = module(pixels.to(self.device, memory_format=torch.channels_last))
        targets = self.lesson.targets[rows].to(self.device)
        weights = self.lesson.weights[rows].to(self.device)
        losses = -(targets * log_softmax(logits.float(), dim=1)).sum(dim=1)
        return (weights * losses).sum() / weights.sum()
