"""Measure one model on unlabelled images, so that the user can compare several models."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.backbone.encode import encode_cached_images
from latte.backbone.names import licence_of, repository_of
from latte.interfaces import Verdict
from latte.interfaces.progress import SilentProgress
from latte.results.identity import STAGES
from latte.results.stored import read_stored
from latte.run.images import find_images
from latte.run.stages import Job
from latte.run.workspace import Workspace
from latte.toolkit.neighbours import nearest_neighbours

_NEIGHBOURS = 10
_QUERIES = 2000
"""Number of images, at least, whose neighbours are looked up; all images if there are fewer."""


def model_score(image_features: Tensor, labels: Tensor) -> float:
    """Return how often neighbouring images have the same zero-shot label, beyond chance.

    A score of 1 means always; 0 means as often as two random images. The neighbours are the ten
    nearest by the cosine of unit features (N, D); `labels` are (N,) int64. docs/backbones.md
    compares this score with measured accuracies.
    """
    images = len(labels)
    shares = labels.bincount().double() / images
    chance = float(shares @ shares)
    if chance == 1:
        return 0.0
    queries = torch.arange(0, images, max(1, images // _QUERIES))
    _, nearest = nearest_neighbours(image_features, _NEIGHBOURS, queries)
    same = float((labels[nearest] == labels[queries].unsqueeze(1)).double().mean())
    return (same - chance) / (1 - chance)


LAST_STAGE = "train"
_TIMED_IMAGES = 32


@dataclass(frozen=True)
class MeasuredModel:
    """Measurements of one model on the given images."""

    score: float
    """See `model_score`."""
    verdict: Verdict | None
    """The guard's verdict on the adapted model; None if the recipe has no guard."""
    seconds: float
    """Seconds per image that the model needs to encode images; decoding is not included."""
    licence: str | None


def measure_model(workspace: Workspace) -> MeasuredModel:
    """Run the stages up to `train`, and measure the recipe's model."""
    images = find_images(workspace)
    with workspace.folder.lock():
        job = Job(workspace, images)
        for stage in STAGES[: STAGES.index(LAST_STAGE) + 1]:
            job.run(stage)
    zero_shot, verdict = job.zero_shot, workspace.folder.verdict
    chosen = workspace.recipe.resolved["backbone"]
    score = model_score(zero_shot.training, zero_shot.zero_shot_labels)
    found = read_stored(verdict, Verdict) if verdict.exists() else None
    clip, cache, quiet = workspace.frozen_clip, images.training.cache, SilentProgress()
    count = min(len(cache), _TIMED_IMAGES)
    with workspace.encoding():
        encode_cached_images(clip, cache, count, quiet, "", range(1))  # warms up
        began = time.perf_counter()
        encode_cached_images(clip, cache, count, quiet, "", range(count))
        seconds = (time.perf_counter() - began) / count
    licence = licence_of(repository_of(chosen["model"], chosen.get("pretrained")))
    return MeasuredModel(score, found, seconds, licence)
