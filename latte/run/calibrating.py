"""How sure the adapted model may say it is: a scale for its similarities, found without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor

from latte.evaluate.calibration import calibration_error, expected_accuracy, matching_scale
from latte.evaluate.similarities import Similarities
from latte.interfaces import Calibration
from latte.io.files import write_json
from latte.results.folder import RunFolder
from latte.results.stored import explained, read_stored
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot

_ENOUGH = 10_000
"""Images; more make the estimate no better, only slower."""
_MOST_NUMBERS = 2**25
"""Similarities that are looked at: with very many classes, fewer images."""


def calibrate(
    workspace: Workspace,
    zero_shot: ZeroShot,
    logit_scale: float,
    similarities: Sequence[Similarities],
    labels: Sequence[int],
) -> Calibration:
    """Find the scale on the training images; `labels` only measure what it is worth.

    Args:
        workspace: of the run.
        zero_shot: what the frozen CLIP sees.
        logit_scale: the adapted model's own.
        similarities: by the adapted model, of training (N, C) and of evaluation images (M, C).
        labels: of the M evaluation images, or none.
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


def read_calibration(folder: RunFolder) -> Calibration | None:
    """What `write_calibration` wrote; None in runs of versions that did not.

    Raises `LatteError` for a damaged file.
    """
    if not folder.calibration.exists():
        record = folder.recorded("evaluate")
        if record is None or folder.relative(folder.calibration) not in record.outputs:
            return None
    found = read_stored(folder.calibration, Calibration)
    with explained(folder.calibration):
        if not all(math.isfinite(one) and one > 0 for one in (found.scale, found.logit_scale)):
            raise ValueError("a scale is not a positive number")
    return found


def _measured(found: Calibration, similarities: Similarities, labels: Tensor) -> Calibration:
    right = similarities.labels() == labels
    errors = []
    for scale in (found.scale, found.logit_scale):
        confidence = [(block * scale).softmax(dim=1).amax(dim=1) for block in similarities]
        errors.append(calibration_error(torch.cat(confidence), right))
    return replace(found, error=errors[0], uncalibrated_error=errors[1])
