"""Load the model of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latte.interfaces import Calibration, Progress
from latte.interfaces.measurements import Role, UsedModel
from latte.io.device import find_device
from latte.io.memory import keep_freed_memory
from latte.models.adapted import Adapted
from latte.models.saved_model import load_model
from latte.results.run import Run, open_finished


@dataclass(frozen=True)
class LoadedModel:
    """A model of a run, on a torch device."""

    run: Run
    role: Role
    model: Adapted
    device: str

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the model's confidence; None if the run was not evaluated."""
        evaluated = self.run.record.evaluate.model(self.role)
        return None if evaluated is None else evaluated.calibration


def load_run_model(
    path: Path, device: str, progress: Progress, use: UsedModel | None = None
) -> LoadedModel:
    """Load the model of a run that `use` names, or else the one that the run uses.

    Needs neither the recipe's images nor its plugins, except the plugins of the backbone and of
    encoders, and for zero-shot CLIP after training the original weights. Raises `LatteError` if
    there is no model.
    """
    keep_freed_memory()
    run, found_device = open_finished(path), find_device(device)
    run.require_model()
    role = use or run.record.judge.used
    return LoadedModel(run, role, load_model(run, found_device, progress, role), found_device)
