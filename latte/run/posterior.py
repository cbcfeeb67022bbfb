"""The posterior of a run's own images: in the run folder, and as answers about these images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from latte.evaluate.predictions import ClassScore, Prediction
from latte.interfaces import Posterior
from latte.io.files import write_atomically
from latte.io.tensor_files import load_tensors, save_tensors
from latte.results.folder import RunFolder
from latte.results.stored import explained, read_json_lines, same_count


@dataclass(frozen=True)
class OwnImages:
    """The posterior of training images, which are known by their content."""

    posterior: Posterior
    keys: tuple[str, ...]
    """The content key of each of the N images, as in `data/training.jsonl`."""

    @cached_property
    def _rows(self) -> dict[str, int]:
        """By key; of equal images the first one answers."""
        return {key: row for row, key in reversed([*enumerate(self.keys)])}

    def rows(self, keys: Sequence[str | None]) -> list[int | None]:
        """The row of each image with one of `keys` (None: unknown); None for images of others."""
        return [None if key is None else self._rows.get(key) for key in keys]

    def prediction(
        self, image: str, row: int, class_names: Sequence[str], top_k: int
    ) -> Prediction:
        """The answer about the training image `row`, which is called `image`."""
        labels = self.posterior.labels[row, :top_k].tolist()
        scores = self.posterior.probabilities[row, :top_k].tolist()
        classes = (ClassScore(class_names[c], s, c) for c, s in zip(labels, scores, strict=True))
        return Prediction(image, tuple(classes), "own")

    def replace(
        self,
        predictions: Sequence[Prediction],
        keys: Sequence[str | None],
        class_names: Sequence[str],
        top_k: int,
    ) -> Iterator[Prediction]:
        """The `predictions` of a classifier, or what the posterior says where an image is known."""
        for one, row in zip(predictions, self.rows(keys), strict=True):
            yield one if row is None else self.prediction(one.image, row, class_names, top_k)

    def ranks(self, rows: Tensor, labels: Tensor, classes: int) -> Tensor:
        """How many classes come before the true one: (B,) for training images `rows` (B,).

        A true class (B,) that the posterior does not name comes last of `classes`.
        """
        hits = self.posterior.labels[rows] == labels.unsqueeze(1)
        ranks = hits.long().argmax(dim=1)
        return ranks.where(hits.any(dim=1), torch.full_like(ranks, classes))


def save_posterior(folder: RunFolder, posterior: Posterior | None) -> list[Path]:
    """Write `posterior.safetensors` and return its path; remove an earlier one if there is none."""
    if posterior is None:
        folder.posterior.unlink(missing_ok=True)
        return []
    with write_atomically(folder.posterior) as temporary:
        save_tensors(temporary, vars(posterior))
    return [folder.posterior]


def read_own_images(
    folder: RunFolder, classes: int, *, candidate: bool = False
) -> OwnImages | None:
    """The posterior of a run folder, or of its `candidate`, with its images' keys.

    Returns None where there is none. Raises `LatteError` for a file that is missing, damaged, or
    about other images or classes.
    """
    path = (folder.candidate if candidate else folder).posterior
    if not path.exists():
        record = folder.recorded("train")
        if record is None or folder.relative(path) not in record.outputs:
            return None
    with explained(path):
        tensors = load_tensors(path)
        found = Posterior(tensors["labels"], tensors["probabilities"])
        _check(found, classes)
    keys = tuple(one.key for one in read_json_lines(folder.training_images, _Keyed))
    same_count(path, "training images", [len(found.labels), len(keys)])
    return OwnImages(found, keys)


@dataclass(frozen=True)
class _Keyed:
    """What is needed of a line about a training image."""

    key: str


def _check(found: Posterior, classes: int) -> None:
    """Raise `ValueError` for tensors that are no posterior over `classes` classes."""
    labels, probabilities = found.labels, found.probabilities
    if labels.dtype != torch.int64 or labels.ndim != 2 or not 1 <= labels.shape[1] <= classes:
        raise ValueError("its labels are not a matrix of classes")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(f"a label is none of {classes} classes")
    if not probabilities.is_floating_point() or probabilities.shape != labels.shape:
        raise ValueError("it does not have one probability for each label")
    inside = (probabilities >= 0) & (probabilities <= 1 + 1e-4)
    if not bool(inside.all()):
        raise ValueError("a probability is not between 0 and 1")
