"""Reporters that log a run to TensorBoard, Weights & Biases or Trackio."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the three reporters; each needs the pip extra of the same name."""
    return (
        ComponentSpec(
            kind="reporter",
            name="tensorboard",
            target="latte_loggers.tensorboard:TensorBoardReporter",
            summary="metrics of training and evaluation as TensorBoard event files",
            api_version=2,
        ),
        ComponentSpec(
            kind="reporter",
            name="wandb",
            target="latte_loggers.wandb:WandbReporter",
            summary="the same metrics for Weights & Biases; offline by default",
            api_version=2,
        ),
        ComponentSpec(
            kind="reporter",
            name="trackio",
            target="latte_loggers.trackio:TrackioReporter",
            summary="the same metrics in Trackio's database on this machine",
            api_version=2,
        ),
    )
