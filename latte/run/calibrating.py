"""Calibration of the adapted model: a scale for its similarities, found without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor

from latte.evaluate.calibration import calibration_error, expected_accuracy, matching_scale
from latte.evaluate.similarities import Similarities
from latte.interfaces import Calibration
from latte.io.files import write_json
from latte.results.folder import RunFolder
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot

_ENOUGH = 10_000
"""Number of training images that suffice; more images only make the estimate slower."""
_MOST_NUMBERS = 2**25
"""Largest number of similarities (images x classes); many classes mean fewer images."""


def calibrate(
    workspace: Workspace,
    zero_shot: ZeroShot,
    logit_scale: float,
    similarities: Sequence[Similarities],
    labels: Sequence[int],
) -> Calibration:
    """Find the scale on the training images; `labels` serve only to measure the calibration error.

    Args:
        workspace: the workspace of the run.
        zero_shot: features of the frozen CLIP.
        logit_scale: the adapted model's own logit scale.
        similarities: those of the adapted model, for training (N, C) and evaluation images (M, C).
        labels: true classes of the M evaluation images; empty if the images have no labels.
    """
    enough = min(_ENOUGH, max(1, _MOST_NUMBERS // similarities[0].classes))
    every = -(-similarities[0].images // enough)
    training = similarities[0].block(slice(None, None, every))
    frozen = zero_shot.training[::every] @ zero_shot.class_features.T
    frozen_scale = float(workspace.frozen_clip.logit_scale.detach())
    expected = expected_accuracy((frozen * frozen_scale).softmax(dim=1), training.argmax(dim=1))
    scale = matching_scale(training, expected, logit_scale)
    found = Calibration(scale, logit_scale, expected, len(training))
    return _measured(found, similarities[1], torch.tensor(labels)) if labels else found


def write_calibration(folder: RunFolder, calibration: Calibration) -> None:
    """Write `calibration.json`."""
    write_json(folder.calibration, asdict(calibration))


def _measured(found: Calibration, similarities: Similarities, labels: Tensor) -> Calibration:
    right = similarities.labels() == labels
    errors = []
    for scale in (found.scale, found.logit_scale):
        confidence = [(block * scale).softmax(dim=1).amax(dim=1) for block in similarities]
        errors.append(calibration_error(torch.cat(confidence), right))
    return replace(found, error=errors[0], uncalibrated_error=errors[1])
