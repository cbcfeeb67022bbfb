"""Labels that images with answers get from fits without these answers: `left_out.safetensors`.

Stage `train` writes them, if answers taught the run and were left out in turn. Stage `evaluate`
calibrates the adapted model's confidence by them, apart for the run's own images and for new ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte.evaluate.calibration import calibrated
from latte.evaluate.left_out import answered_exponent, answered_scale
from latte.interfaces import Posterior
from latte.interfaces.answer_facts import SureLabels
from latte.interfaces.training import check_posterior
from latte.io.files import write_atomically
from latte.io.tensor_files import load_tensors, save_tensors
from latte.results.folder import ModelFolder
from latte.results.run import Run
from latte.results.stored import explained

THRESHOLDS = (0.7, 0.5)
"""Confidences above which the share of right labels is stated; the first with enough answers."""
LEAST_SURE = 10
"""Number of left-out answers above a confidence that suffice for a statement."""
_MOST_NUMBERS = 2**22
"""Largest number of stored similarities (answers times classes)."""


@dataclass(frozen=True)
class LeftOutScores:
    """A answers, and what fits say that do not know them."""

    answers: Tensor
    """(A,) int64: the classes that a person gave."""
    similarities: Tensor
    """(A, C): similarities to the classes by the fits' classifiers."""
    posterior: Posterior | None
    """The fits' posteriors of the A images; None if the labeler has none."""

    @property
    def own(self) -> Posterior:
        """The posterior; without one, each image has one label of probability 1."""
        if self.posterior is not None:
            return self.posterior
        labels = self.similarities.argmax(dim=1, keepdim=True)
        return Posterior(labels, torch.ones_like(labels, dtype=torch.float32))

    def of(self, selected: Tensor) -> LeftOutScores:
        """Return the answers that `selected` (A,) bool marks."""
        posterior = self.posterior
        if posterior is not None:
            posterior = Posterior(posterior.labels[selected], posterior.probabilities[selected])
        return LeftOutScores(self.answers[selected], self.similarities[selected], posterior)

    def scale(self, label_free: float, logit_scale: float) -> float:
        """Return the scale that calibrates the classifier; see `answered_scale`."""
        return answered_scale(self.similarities, self.answers, label_free, logit_scale)

    def exponent(self, label_free: float) -> float:
        """Return the exponent that calibrates the posterior; see `answered_exponent`."""
        posterior = self.own
        return answered_exponent(
            posterior.labels, posterior.probabilities, self.answers, label_free
        )

    def sure_labels(self, exponent: float, confidences: Tensor) -> SureLabels | None:
        """Return how many of the posterior's labels are right above a confidence.

        `confidences` (N,) are those of the run's images without an answer. None if too few answers
        were given about images with such a confidence.
        """
        probabilities = self.own.probabilities
        total = probabilities.sum(dim=1).clamp(max=1)
        left_out_confidences = total * calibrated(probabilities, exponent)[:, 0]
        for threshold in THRESHOLDS:
            is_sure = left_out_confidences > threshold
            if int(is_sure.sum()) >= LEAST_SURE:
                right = (self.own.labels[:, 0] == self.answers)[is_sure].sum()
                labels = (confidences > threshold).sum()
                return SureLabels(
                    above=threshold,
                    labels=int(labels),
                    answers=int(is_sure.sum()),
                    right=int(right),
                )
        return None


def joined(folds: Sequence[LeftOutScores]) -> LeftOutScores:
    """Return the answers of several folds as one sample."""
    posteriors = [fold.posterior for fold in folds if fold.posterior is not None]
    posterior = None
    if len(posteriors) == len(folds):
        posterior = Posterior(
            torch.cat([fold_posterior.labels for fold_posterior in posteriors]),
            torch.cat([fold_posterior.probabilities for fold_posterior in posteriors]),
        )
    return LeftOutScores(
        torch.cat([fold.answers for fold in folds]),
        torch.cat([fold.similarities for fold in folds]),
        posterior,
    )


def save_left_out(folder: ModelFolder, left_out: LeftOutScores | None) -> list[Path]:
    """Write `left_out.safetensors` and return its path; without answers, remove the file.

    Of many answers, only a part is written, spread evenly over them.
    """
    if left_out is None:
        folder.left_out.unlink(missing_ok=True)
        return []
    stride = -(-left_out.similarities.numel() // _MOST_NUMBERS)
    tensors = {"answers": left_out.answers, "similarities": left_out.similarities}
    if left_out.posterior is not None:
        tensors["labels"] = left_out.posterior.labels
        tensors["probabilities"] = left_out.posterior.probabilities
    with write_atomically(folder.left_out) as temporary:
        save_tensors(temporary, {name: tensor[::stride] for name, tensor in tensors.items()})
    return [folder.left_out]


def read_left_out(run: Run) -> LeftOutScores | None:
    """Read the left-out answers of a run; None if none were left out.

    Raises `LatteError` if the file is damaged, or belongs to other classes.
    """
    path = run.folder.adapted_model.left_out
    if not run.folder.wrote("train", path):
        return None
    with explained(path):
        tensors = load_tensors(path)
        posterior = None
        if "labels" in tensors:
            posterior = Posterior(tensors["labels"], tensors["probabilities"])
        left_out = LeftOutScores(tensors["answers"], tensors["similarities"], posterior)
        _check(left_out, len(run.class_names))
    return left_out


def _check(left_out: LeftOutScores, classes: int) -> None:
    """Raise `ValueError` if answers or labels are impossible."""
    answers, similarities = left_out.answers, left_out.similarities
    if answers.dtype != torch.int64 or answers.ndim != 1 or not len(answers):
        raise ValueError("its answers are not a list of classes")
    if not bool(((answers >= 0) & (answers < classes)).all()):
        raise ValueError(f"an answer is none of {classes} classes")
    if not similarities.is_floating_point() or similarities.shape != (len(answers), classes):
        raise ValueError("it does not have one similarity for each answer and class")
    if not bool(similarities.isfinite().all()):
        raise ValueError("a similarity is not a finite number")
    if left_out.posterior is not None:
        check_posterior(left_out.posterior, classes)
        if len(left_out.posterior.labels) != len(answers):
            raise ValueError("it does not have one posterior for each answer")
