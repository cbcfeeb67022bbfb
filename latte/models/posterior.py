"""Save and load a run's posterior; predict with it and with the classes that a person gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from latte.evaluate.calibration import calibrated
from latte.evaluate.predictions import ClassScore, Prediction
from latte.interfaces import Posterior
from latte.interfaces.measurements import Role
from latte.interfaces.training import check_posterior
from latte.io.files import write_atomically
from latte.io.tensor_files import load_tensors, save_tensors
from latte.results.folder import ModelFolder
from latte.results.run import Run
from latte.results.stored import explained, same_count


@dataclass(frozen=True)
class OwnImages:
    """Posterior of the run's training images; finds an image by the hash of its content."""

    posterior: Posterior
    keys: tuple[str, ...]
    """Content hash of each of the N training images, as in `data/training.jsonl`."""
    exponent: float | None = None
    """Exponent that calibrates the posterior's probabilities; see `Calibration.own_exponent`."""
    none_keys: frozenset[str] = frozenset()
    """Content hashes of the images that show none of the classes, as a person said."""

    @cached_property
    def _rows(self) -> dict[str, int]:
        """Row of the posterior for each content hash: the first row, if several have the hash."""
        return {key: row for row, key in reversed([*enumerate(self.keys)])}

    @cached_property
    def confidences(self) -> Tensor:
        """Calibrated probabilities (N, K) of the classes in `posterior.labels`.

        Calibration does not change the sum of an image's probabilities. The sum may be less than 1,
        for example if the image may show none of the classes.
        """
        probabilities = self.posterior.probabilities
        if self.exponent is None:
            return probabilities
        total = probabilities.sum(dim=1, keepdim=True).clamp(max=1)
        return total * calibrated(probabilities, self.exponent)

    def rows(self, keys: Sequence[str | None]) -> list[int | None]:
        """Return the row of the posterior for each content hash; None for an unknown hash."""
        return [None if key is None else self._rows.get(key) for key in keys]

    def prediction(
        self, image: str, row: int, class_names: Sequence[str], top_k: int
    ) -> Prediction:
        """Return the `top_k` most probable classes of a training image as a prediction.

        `row` is the image's row in the posterior; `image` is its name in the prediction.
        """
        labels = self.posterior.labels[row, :top_k].tolist()
        scores = self.confidences[row, :top_k].tolist()
        classes = (ClassScore(class_names[c], s, c) for c, s in zip(labels, scores, strict=True))
        none = self.posterior.none
        match = None if none is None else 1 - float(none[row])
        return Prediction(image, tuple(classes), "own", match=match)

    def replace(
        self,
        predictions: Sequence[Prediction],
        keys: Sequence[str | None],
        class_names: Sequence[str],
        top_k: int,
    ) -> Iterator[Prediction]:
        """Yield the predictions; a training image gets the posterior's prediction instead.

        `keys` are the content hashes of the predicted images.
        """
        for prediction, key, row in zip(predictions, keys, self.rows(keys), strict=True):
            own = (
                prediction
                if row is None
                else self.prediction(prediction.image, row, class_names, top_k)
            )
            yield without_class(own) if key in self.none_keys else own

    def replace_probabilities(self, probabilities: Tensor, keys: Sequence[str | None]) -> None:
        """Replace the rows of training images in `probabilities` (B, C) by their posterior.

        `keys` are the content hashes of the B images. Classes without a posterior get 0.
        """
        for place, row in enumerate(self.rows(keys)):
            if row is not None or keys[place] in self.none_keys:
                probabilities[place] = 0
            if row is not None and keys[place] not in self.none_keys:
                probabilities[place, self.posterior.labels[row]] = self.confidences[row]

    def ranks(self, rows: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Return the rank (B,) of the true class of B images; the most probable class has rank 0.

        `rows` (B,) are the indices of the images, `labels` (B,) the true classes. A class that the
        posterior does not contain has the rank `classes`.
        """
        hits = self.posterior.labels[rows] == labels.unsqueeze(1)
        ranks = hits.long().argmax(dim=1)
        return ranks.where(hits.any(dim=1), torch.full_like(ranks, classes))


def without_class(prediction: Prediction) -> Prediction:
    """Return the prediction of an image that surely shows none of the classes."""
    classes = tuple(replace(class_score, score=0.0) for class_score in prediction.classes)
    return replace(prediction, classes=classes, source="own", match=0.0)


def of_first(posterior: Posterior | None, images: int) -> Posterior | None:
    """Return the posterior of the first `images` images."""
    if posterior is None:
        return None
    tensors = {name: tensor[:images] for name, tensor in posterior_tensors(posterior).items()}
    return Posterior(**tensors)


def posterior_tensors(posterior: Posterior) -> dict[str, Tensor]:
    """Return the tensors of a posterior by name; `none` is left out if it is None."""
    return {name: tensor for name, tensor in vars(posterior).items() if tensor is not None}


def save_posterior(folder: ModelFolder, posterior: Posterior | None) -> list[Path]:
    """Write `posterior.safetensors` and return its path; without a posterior, remove the file."""
    if posterior is None:
        folder.posterior.unlink(missing_ok=True)
        return []
    with write_atomically(folder.posterior) as temporary:
        save_tensors(temporary, posterior_tensors(posterior))
    return [folder.posterior]


def read_own_images(run: Run) -> OwnImages | None:
    """Read the posterior of a run's adapted model; return None if there is none.

    The probabilities are not calibrated: stage `evaluate` calibrates them, and must not use an
    earlier calibration. Raises `LatteError` if the file is damaged, or belongs to other images or
    classes.
    """
    path = run.folder.adapted_model.posterior
    if not run.folder.wrote("train", path):
        return None
    with explained(path):
        tensors = load_tensors(path)
        posterior = Posterior(tensors["labels"], tensors["probabilities"], tensors.get("none"))
        check_posterior(posterior, len(run.class_names))
    same_count(path, "training images", [len(posterior.labels), len(run.rows.training_keys)])
    return OwnImages(posterior, run.rows.training_keys)


def read_predicted(run: Run, role: Role) -> OwnImages | None:
    """Read the calibrated posterior, in which classes that a person gave have probability 1.

    Only the adapted model may have a posterior. Without one, the result has only the images about
    which a person gave an answer. It is None if there are no such images. Raises `LatteError` as
    `read_own_images` does.
    """
    own_images = read_own_images(run) if role == "adapted" else None
    person_labels = run.rows.corrected
    none_keys = frozenset(key for key, label in person_labels.items() if label < 0)
    if own_images is None:
        if not person_labels:
            return None
        named = {key: label for key, label in person_labels.items() if label >= 0}
        labels = torch.tensor([*named.values()], dtype=torch.int64).unsqueeze(1)
        certain = Posterior(labels, torch.ones(labels.shape))
        return OwnImages(certain, tuple(named), none_keys=none_keys)
    adapted = run.record.evaluate.model("adapted")
    calibration = None if adapted is None else adapted.calibration
    exponent = None if calibration is None else calibration.own_exponent
    keys = own_images.keys
    given_labels = torch.tensor([person_labels.get(key, -1) for key in keys], dtype=torch.int64)
    posterior = with_given_labels(own_images.posterior, given_labels)
    return OwnImages(posterior, keys, exponent, none_keys)


def with_given_labels(posterior: Posterior, given_labels: Tensor) -> Posterior:
    """Return the posterior in which classes that a person gave come first, with probability 1.

    `given_labels` (N,) are the classes of the posterior's images; -1 for an image without one.
    """
    column = given_labels.unsqueeze(1)
    is_given = column >= 0
    labels = torch.cat([column, posterior.labels], dim=1)
    is_repeated = labels == column
    is_repeated[:, 0] = False
    order = is_repeated.int().argsort(dim=1, stable=True)
    labels = labels.gather(1, order)[:, :-1]
    certain = torch.zeros_like(posterior.probabilities)
    certain[:, 0] = 1
    return Posterior(
        labels.where(is_given, posterior.labels),
        certain.where(is_given, posterior.probabilities),
        None if posterior.none is None else posterior.none.masked_fill(given_labels >= 0, 0),
    )
