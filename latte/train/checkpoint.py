"""Checkpoints: files with all tensors that a run needs to continue with bit-identical results.

A checkpoint contains only the tensors that training changes, so no frozen weights. It needs no
state of random generators: a run derives all random numbers from (seed, epoch, step, image).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.interfaces import LatteError, PseudoLabeler
from latte.io.files import make_folder, sync_files, sync_folder
from latte.io.tensor_files import DamagedTensorsError, load_tensors, save_tensors
from latte.train.learner import Learner
from latte.train.timing import CHECKPOINTS, timed
from latte.train.training import Training

Learners = Sequence[Learner]
Labelers = Sequence[PseudoLabeler[Any]]

_log = logging.getLogger("latte.train")
KEPT = 2
"""Number of checkpoints that stay on disk: the newest, and one more in case it is damaged."""
_FILE = "state.safetensors"
_SECONDS = 120.0
_LARGEST_SHARE = 1 / 20
"""Largest share of the training time for saving checkpoints that are due by time."""


class Checkpoints:
    """Decides when checkpoints of a training are due, and saves them.

    A checkpoint is due every `checkpoint_every` steps and after the last step. In a run with one
    process, it is also due after two minutes, or later if saving is slow. Several processes do not
    use the time, because their clocks differ and all must save at the same step.
    """

    def __init__(self, training: Training, step: int) -> None:
        """Start the clock; `step` is the step of the loaded checkpoint, or 0 if none was loaded."""
        self.step: int = step
        """Step of the newest checkpoint, from which a stopped training continues."""
        self._training = training
        self._folder = training.folder / "checkpoints"
        self._saved_at = training.clock()
        self._seconds = _SECONDS

    def is_due(self, step: int) -> bool:
        """Return True if a checkpoint must be saved after `step` steps."""
        training = self._training
        if step % training.settings.checkpoint_every == 0 or step == training.total_steps:
            return True
        is_single_process = distributed.world_size() == 1
        return is_single_process and training.clock() - self._saved_at >= self._seconds

    def save(self, step: int) -> None:
        """Save the checkpoint after `step` steps."""
        start_time = self._training.clock()
        with timed(CHECKPOINTS):
            save_and_broadcast(self._folder, step, self._training.learners, self._training.labelers)
        self.step, self._saved_at = step, self._training.clock()
        self._seconds = max(_SECONDS, (self._saved_at - start_time) / _LARGEST_SHARE)

    def continuation(self) -> str:
        """Return a sentence that says from which step a stopped training would continue."""
        if self.step:
            return f"training continues after step {self.step} of {self._training.total_steps}"
        return "training starts from its beginning, and finished stages are reused"


def save_and_broadcast(folder: Path, step: int, learners: Learners, labelers: Labelers) -> None:
    """Save a checkpoint, and copy prototypes and labelers from the main process to all others.

    On GPUs, the state of prototypes and labelers can differ between processes by rounding. A
    resumed run loads the same state in all processes. An uninterrupted run copies the state, so
    that both runs are bit-identical.
    """
    if distributed.is_main_process():
        save_checkpoint(folder, step, learners, labelers)
    if distributed.world_size() > 1:
        for learner in learners:
            prototypes = distributed.broadcast_tensors(learner.aggregator.state())
            learner.aggregator.load_state(prototypes)
        for labeler in labelers:
            labeler.load_state(distributed.broadcast_tensors(labeler.state()))


def resume(folder: Path, learners: Learners, labelers: Labelers) -> int:
    """Load the same checkpoint in all processes: the newest that the main process can read.

    Returns the step of the checkpoint, or 0 if there is none.
    """
    step = distributed.broadcast(lambda: load_checkpoint(folder, learners, labelers))
    is_other_process = step and not distributed.is_main_process()
    if is_other_process and load_checkpoint(folder, learners, labelers, step=step) != step:
        raise LatteError(
            f"a process does not find the checkpoint of step {step}",
            where=str(folder),
            hint="all machines of a run must share its folder",
        )
    return step


def save_checkpoint(folder: Path, step: int, learners: Learners, labelers: Labelers) -> None:
    """Write the checkpoint after `step` steps as `folder/step-NNNNNN`, and remove old ones."""
    make_folder(folder)
    target = folder / _name(step)
    temporary = folder / f".{target.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        save_tensors(temporary / _FILE, _tensors(learners, labelers))
        sync_files(temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        sync_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    kept_folders = _checkpoints(folder)[-KEPT:]
    for checkpoint in folder.glob("step-*"):
        if checkpoint not in kept_folders:
            shutil.rmtree(checkpoint)


def load_checkpoint(
    folder: Path, learners: Learners, labelers: Labelers, step: int | None = None
) -> int:
    """Restore the newest undamaged checkpoint, or that of `step`.

    Returns its step, or 0 if there is none.
    """
    for checkpoint in reversed(_checkpoints(folder, step)):
        try:
            tensors = load_tensors(checkpoint / _FILE)
        except (OSError, DamagedTensorsError) as error:
            _log.warning("train: %s is damaged and not used: %s", checkpoint, error)
            continue
        try:
            _restore(tensors, learners, labelers)
        except (KeyError, RuntimeError, ValueError, TypeError, IndexError) as error:
            raise LatteError(
                f"the checkpoint does not fit this recipe ({error})",
                where=str(checkpoint),
                hint="it was written by another version; remove the folder to train from the start",
            ) from error
        return int(checkpoint.name.removeprefix("step-"))
    return 0


def _checkpoints(folder: Path, step: int | None = None) -> list[Path]:
    """Return the folders of complete checkpoints (those with tensors), oldest first."""
    candidates = folder.glob("step-*" if step is None else _name(step))
    numbered_folders = [
        checkpoint for checkpoint in candidates if checkpoint.name.removeprefix("step-").isdecimal()
    ]
    return sorted(checkpoint for checkpoint in numbered_folders if (checkpoint / _FILE).exists())


def _name(step: int) -> str:
    return f"step-{step:06d}"


def _tensors(learners: Learners, labelers: Labelers) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for learner in learners:
        weights = {name: parameter.detach() for name, parameter in learner.parameters.items()}
        tensors |= _prefixed(f"{learner.name}/weights", weights)
        tensors |= _prefixed(f"{learner.name}/prototypes", learner.aggregator.state())
        if learner.optimizer is not None:
            tensors |= _prefixed(f"{learner.name}/optimizer", _optimizer_state(learner.optimizer))
            tensors |= _prefixed(f"{learner.name}/scaler", learner.scaler.state())
    for index, labeler in enumerate(labelers):
        tensors |= _prefixed(f"labeler-{index}", labeler.state())
    return tensors


def _restore(tensors: Mapping[str, Tensor], learners: Learners, labelers: Labelers) -> None:
    for learner in learners:
        weights = _below(tensors, f"{learner.name}/weights")
        with torch.no_grad():
            for name, parameter in learner.parameters.items():
                if parameter.shape != weights[name].shape:
                    raise ValueError(f"{name} has another shape")
                parameter.copy_(weights[name])
        learner.aggregator.load_state(_below(tensors, f"{learner.name}/prototypes"))
        if learner.optimizer is not None:
            _load_optimizer(learner.optimizer, _below(tensors, f"{learner.name}/optimizer"))
            learner.scaler.load_state(_below(tensors, f"{learner.name}/scaler"))
    for index, labeler in enumerate(labelers):
        labeler.load_state(_below(tensors, f"labeler-{index}"))


def _optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{index}/{key}": value
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    prefix_length = len(prefix) + 1
    return {
        name[prefix_length:]: tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}/")
    }
