"""Measure one model on unlabelled images, so that the user can compare several models."""

from __future__ import annotations

import time
from dataclasses import dataclass

from latte.backbone.encode import encode_cached_images
from latte.backbone.licences import licence_of, repository_of
from latte.data.cache import ImageCache
from latte.evaluate.model_score import model_score
from latte.interfaces import Verdict
from latte.interfaces.progress import SilentProgress
from latte.results.identity import STAGES
from latte.results.stored import read_stored
from latte.run.images import find_images
from latte.run.stages import Job
from latte.run.workspace import Workspace

LAST_STAGE = "train"
_TIMED_IMAGES = 32


@dataclass(frozen=True)
class MeasuredModel:
    """Measurements of one model on the given images."""

    score: float
    """Agreement, beyond chance, of the zero-shot labels of similar images; see `model_score`."""
    verdict: Verdict | None
    """The guard's verdict on the adapted classifier; None if the recipe has no guard."""
    seconds: float
    """Seconds per image that the model needs to encode images; decoding is not included."""
    licence: str | None
    """Licence of the weights; None if unknown."""


def measure_model(workspace: Workspace) -> MeasuredModel:
    """Run the stages up to `train`, and measure the recipe's model.

    The model's features stay in the cache.
    """
    images = find_images(workspace)
    with workspace.folder.lock():
        job = Job(workspace, images)
        for stage in STAGES[: STAGES.index(LAST_STAGE) + 1]:
            job.run(stage)
    zero_shot, verdict = job.zero_shot, workspace.folder.verdict
    chosen = workspace.recipe.resolved["backbone"]
    return MeasuredModel(
        model_score(zero_shot.training, zero_shot.zero_shot_labels),
        read_stored(verdict, Verdict) if verdict.exists() else None,
        _seconds(workspace, images.training.cache),
        licence_of(repository_of(chosen["model"], chosen.get("pretrained"))),
    )


def _seconds(workspace: Workspace, images: ImageCache) -> float:
    """Return the seconds per image for encoding, without decoding, after a warm-up."""
    clip, count, quiet = workspace.frozen_clip, min(len(images), _TIMED_IMAGES), SilentProgress()
    with workspace.encoding():
        encode_cached_images(clip, images, count, quiet, "", range(1))
        began = time.perf_counter()
        encode_cached_images(clip, images, count, quiet, "", range(count))
        return (time.perf_counter() - began) / count
