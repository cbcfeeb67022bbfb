"""The images of a run with soft labels and weights, from which a student learns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.api import ImageReference, LatteError, Posterior, Progress, digest, long_task
from latte.api.runs import Run, read_posterior, run_images

LEFT_OUT = 0.1
"""Share of the images that are left out of training, to stop it early."""


@dataclass(frozen=True)
class Lesson:
    """Soft labels of the N training images of a run, and which of them are left out."""

    class_names: tuple[str, ...]
    images: tuple[ImageReference, ...]
    keys: tuple[str, ...]
    """Content key of each image."""
    targets: Tensor
    """(N, C) float32: probabilities of the classes; their sum is 1."""
    weights: Tensor
    """(N,) float32 from 0 to 1: 1 for an answered image, 0 for one that shows no class."""
    training: Tensor
    """Indices int64 of the images that train."""
    left_out: Tensor
    """Indices int64 of the images of the left-out series; empty if there are too few series."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that training depends on."""
        parts = (self.targets, self.weights, self.training, self.left_out)
        tensors = [part.numpy().tobytes() for part in parts]
        return digest(*self.class_names, *self.keys, *tensors)


def read_lesson(run: Run) -> Lesson:
    """Return what the run teaches. Raises `LatteError` for a run without posterior."""
    own_labels = read_posterior(run)
    if own_labels is None:
        raise LatteError(
            "this run has no probabilities of its own images (no posterior) to learn from",
            where=str(run.folder.path),
            hint="make a run whose labeler labels all images together, as `latte adapt` does",
        )
    keys, posterior = own_labels
    if run.record.judge.used == "zero-shot":
        posterior = used_labels(run)
    answers = run.rows.corrected
    targets = soft_labels(posterior, len(run.class_names))
    weights = certainty(targets)
    if posterior.none is not None:
        weights = weights * (1 - posterior.none)
    targets, weights = with_answers(targets, weights, keys, answers)
    is_answered = [key in answers for key in keys]
    left_out = left_out_images(run.rows.series, is_answered, run.record.source.values["seed"])
    usable = weights > 0
    if not bool((usable & ~left_out).any()):
        raise LatteError("no image of this run shows a class", where=str(run.folder.path))
    return Lesson(
        run.class_names,
        run_images(run).training,
        keys,
        targets,
        weights,
        (usable & ~left_out).nonzero().flatten(),
        (usable & left_out).nonzero().flatten(),
    )


def used_labels(run: Run) -> Posterior:
    """Return the label and confidence that zero-shot CLIP gives to each image of the run.

    If a guard kept zero-shot CLIP, the posterior of the adapted model is not what the run uses.
    """
    labels = run.rows.pseudo_labels
    column = torch.tensor(labels.adapted, dtype=torch.int64).unsqueeze(1)
    return Posterior(column, torch.tensor(labels.confidence).clamp(max=1).unsqueeze(1))


def soft_labels(posterior: Posterior, classes: int) -> Tensor:
    """Return the posterior as (N, C) float32; what its likeliest classes leave goes to all."""
    targets = torch.zeros(len(posterior.labels), classes)
    targets.scatter_(1, posterior.labels, posterior.probabilities.float())
    sums = targets.sum(dim=1, keepdim=True)
    targets = torch.where(sums > 1, targets / sums.clamp_min(1e-12), targets)
    if posterior.none is not None:  # given that the image shows a class
        shown = (1 - posterior.none.float()).clamp_min(1e-6).unsqueeze(1)
        targets = (targets / shown).clamp(max=1)
    rest = (1 - targets.sum(dim=1, keepdim=True)).clamp_min(0)
    targets = targets + rest / classes
    return targets / targets.sum(dim=1, keepdim=True)


def certainty(targets: Tensor) -> Tensor:
    """Return 1 - H / ln C (N,) of soft labels (N, C) with the entropy H; 1 for one class."""
    classes = targets.shape[1]
    if classes == 1:
        return torch.ones(len(targets))
    entropy = -(targets * targets.clamp_min(1e-12).log()).sum(dim=1)
    return (1 - entropy / math.log(classes)).clamp(0, 1)


def with_answers(
    targets: Tensor, weights: Tensor, keys: Sequence[str], answers: Mapping[str, int]
) -> tuple[Tensor, Tensor]:
    """Return soft labels and weights in which a person's answers replace those of their images.

    `answers` has classes by content key; -1 stands for none of the classes.
    """
    targets, weights = targets.clone(), weights.clone()
    for row, key in enumerate(keys):
        if key in answers:
            label = answers[key]
            weights[row] = float(label >= 0)
            if label >= 0:
                targets[row] = torch.nn.functional.one_hot(torch.tensor(label), targets.shape[1])
    return targets, weights


def left_out_images(series: Sequence[int], is_answered: Sequence[bool], seed: int) -> Tensor:
    """Return a mask (N,): True for images of random series, about a tenth of the images.

    A series with an answered image always trains. No image is left out of fewer than two series
    without answers.
    """
    answered = {number for number, given in zip(series, is_answered, strict=True) if given}
    numbers = torch.tensor([*series], dtype=torch.int64)
    candidates = sorted(set(series) - answered)
    mask = torch.zeros(len(series), dtype=torch.bool)
    if len(candidates) < 2:
        return mask
    generator = torch.Generator().manual_seed(seed)
    for place in torch.randperm(len(candidates), generator=generator).tolist()[:-1]:
        mask |= numbers == candidates[place]
        if int(mask.sum()) >= LEFT_OUT * len(series):
            break
    return mask


def check_unchanged(lesson: Lesson, progress: Progress) -> None:
    """Raise `LatteError` if an image cannot be read, or has changed since the run."""
    with long_task(progress, "check images", len(lesson.images), "images") as task:
        for image, key in zip(lesson.images, lesson.keys, strict=True):
            try:
                is_same = digest(image.read_bytes()) == key
            except OSError as error:
                raise LatteError(f"cannot be read: {error.strerror}", where=image.id) from error
            if not is_same:
                raise LatteError(
                    "this image has changed since the run",
                    where=image.id,
                    hint="make the run again, or put the image back",
                )
            task.advance()
