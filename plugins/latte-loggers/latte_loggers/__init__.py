"""Reporters that log a run to TensorBoard, Weights & Biases or Trackio."""

from __future__ import annotations

from collections.abc import Iterable

from latte.api import ComponentSpec, hookimpl


@hookimpl
def latte_components() -> Iterable[ComponentSpec]:
    """Return the three reporters; each needs the extra of the same name."""
    return (
        ComponentSpec(
            kind="reporter",
            name="tensorboard",
            target="latte_loggers.tensorboard:TensorBoardReporter",
            options="latte_loggers.options:TensorBoardOptions",
            summary="figures of training and evaluation as TensorBoard event files",
        ),
        ComponentSpec(
            kind="reporter",
            name="wandb",
            target="latte_loggers.wandb:WandbReporter",
            options="latte_loggers.options:WandbOptions",
            summary="the same to Weights & Biases; offline unless the recipe says otherwise",
        ),
        ComponentSpec(
            kind="reporter",
            name="trackio",
            target="latte_loggers.trackio:TrackioReporter",
            options="latte_loggers.options:TrackioOptions",
            summary="the same to Trackio's database on this machine",
        ),
    )
