"""Logger for Weights & Biases, offline by default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from latte.api import Options, RunStart
from latte_loggers.logger import LoggingReporter

if TYPE_CHECKING:
    import wandb


class WandbOptions(Options):
    """Options of `wandb`; the key is from WANDB_API_KEY or `wandb login`, never from a recipe."""

    project: str = Field(default="latte", min_length=1, description="the project on W&B")
    entity: str | None = Field(default=None, description="user or team; none: your default one")
    mode: Literal["offline", "online"] = Field(
        default="offline",
        description="offline: files in the run folder that `wandb sync` uploads when you like; "
        "online: metrics and recipe are sent to W&B during the run",
    )
    tags: tuple[str, ...] = Field(default=(), description="tags of the run")

    @property
    def sends_to(self) -> str | None:
        """The address of W&B's server, if `mode` is `online`."""
        if self.mode == "offline":
            return None
        return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


class WandbReporter(LoggingReporter[WandbOptions]):
    """Logger for W&B; a run is named after its folder, so a resumed run continues its log."""

    package = "wandb"
    _wandb: wandb.Run

    def begin(self, run: RunStart, step: int) -> None:
        """Start W&B's process; it collects no host name, user name, git state or code."""
        import wandb

        online = self.options.mode == "online"
        run.folder.mkdir(parents=True, exist_ok=True)
        self._wandb = wandb.init(
            project=self.options.project,
            entity=self.options.entity,
            mode=self.options.mode,
            id=re.sub(r"[^\w.-]", "-", run.folder.name),
            name=run.folder.name,
            group=run.name,
            tags=list(self.options.tags),
            dir=str(run.folder),
            resume="allow" if online else None,
            config={**run.recipe, "seed": run.seed, "classes": len(run.class_names)},
            settings=_private(wandb),
        )
        self._wandb.define_metric("step", hidden=True)
        self._wandb.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row with the metrics and the step; a resumed run writes some steps again."""
        self._wandb.log({**values, "step": step})

    def summarise(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics to the run's summary, which W&B's tables show."""
        self._wandb.summary.update(dict(values))

    def end(self, *, failed: bool) -> None:
        """Finish the run: wait until all rows are written, and stop W&B's process."""
        import wandb

        self._wandb.finish(exit_code=1 if failed else 0)
        wandb.teardown()

    def files(self, folder: Path) -> list[Path]:
        """Return the run's `.wandb` files; in mode `offline`, `wandb sync` uploads them."""
        return sorted((folder / "wandb").glob("*run-*/*.wandb"))


def _private(wandb: Any) -> Any:
    return wandb.Settings(
        console="off",
        host="hidden",
        disable_git=True,
        disable_code=True,
        save_code=False,
        silent=True,
        x_disable_meta=True,
        x_save_requirements=False,
        x_disable_machine_info=True,
        x_disable_stats=True,
    )
