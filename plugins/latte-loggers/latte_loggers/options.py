"""Options of the loggers; importing this module loads no logging package."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from latte.api import Options


class TensorBoardOptions(Options):
    """Options of `tensorboard`, which writes event files to `tensorboard/` in the run folder."""

    flush_seconds: int = Field(
        default=30, ge=1, description="largest number of seconds before metrics are written to disk"
    )


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


class TrackioOptions(Options):
    """Options of `trackio`, which writes to `trackio/` in the run folder and uploads nothing."""

    project: str = Field(
        default="latte",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="the project: letters, digits, - and _",
    )
