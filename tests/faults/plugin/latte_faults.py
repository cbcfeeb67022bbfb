"""Slow describer, loss that runs out of memory, and reporter that records the stage."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from latte.api import (
    ComponentSpec,
    Describer,
    DescribeRequest,
    NoOptions,
    Reporter,
    RunResults,
    StageEnd,
    hookimpl,
)


@hookimpl
def latte_components() -> list[ComponentSpec]:
    """Return the three components."""
    return [
        ComponentSpec("describer", "slow", "latte_faults:Slow", "for tests"),
        ComponentSpec("reporter", "stages", "latte_faults:Stages", "for tests"),
        ComponentSpec("loss", "starving", "latte_faults_loss:Starving", "for tests"),
    ]


class Slow(Describer[NoOptions]):
    """Describer that records its requests in the file `FAULTS_ASKED`."""

    batch_size = 2
    fingerprint = "slow-1"
    max_images = 4

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """Return hashes of the images as descriptions."""
        time.sleep(float(os.environ.get("FAULTS_PAUSE", "0.05")))
        if len(requests) > 1 and "FAULTS_STARVE_DESCRIBER" in os.environ:
            import torch

            raise torch.OutOfMemoryError("simulated")
        texts = ["pictures " + " ".join(i.key[:6] for i in r.images) for r in requests]
        with Path(os.environ["FAULTS_ASKED"]).open("a") as file:
            file.writelines(
                f"{text}|{request.prompt}\n" for text, request in zip(texts, requests, strict=True)
            )
        return texts


class Stages(Reporter[NoOptions]):
    """Reporter that records started stages and times in the file `FAULTS_STAGES`."""

    def on_stage_start(self, stage: str) -> None:
        """Write one line per stage."""
        with Path(os.environ["FAULTS_STAGES"]).open("a") as file:
            file.write(f"{stage} {time.monotonic()}\n")

    def on_stage_end(self, stage: StageEnd) -> None:
        """Record the stage `controls`, which follows the evaluation."""
        if stage.stage == "evaluate":
            self.on_stage_start("controls")

    def report(self, results: RunResults) -> list[Path]:
        """Do nothing."""
        return []
