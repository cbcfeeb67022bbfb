"""Classify any images with the model of a run, which `latte.load` opens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from latte.evaluate.predictions import Columns, Prediction, class_probabilities, predict_rows
from latte.interfaces import Calibration, LatteError, Progress, Verdict
from latte.interfaces.measurements import UsedModel
from latte.interfaces.progress import SilentProgress
from latte.io.files import digest
from latte.io.machine import machine_errors
from latte.models.adapted import Adapted
from latte.models.loaded import load_run_model
from latte.models.posterior import OwnImages, read_predicted
from latte.predict.encoding import EncodedBatch, encode_stream
from latte.predict.feature_cache import FeatureCache
from latte.predict.hub import local_folder
from latte.predict.predictions import Predictions
from latte.predict.stored_features import StoredFeatures, stored_features
from latte.predict.stream import (
    GivenImages,
    Unreadable,
    named_images,
    number_of_images,
    unlisted,
)
from latte.results.folder import RunFolder
from latte.results.record import RECORD
from latte.results.run import Run

BATCH_SIZE = 64


_FORKS: list[None] = []
"""An entry per fork between the process that imported this module and this process."""
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=lambda: _FORKS.append(None))


class Predictor:
    """Classifier of images with a run's model."""

    def __init__(
        self,
        adapted: Adapted,
        calibration: Calibration | None,
        device: str,
        own_images: OwnImages | None,
        run: Run,
        *,
        stored: StoredFeatures | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.adapted = adapted
        """The CLIP models, encoders and prototypes; `adapted.backbones[0]` is the first CLIP."""
        self.classes: tuple[str, ...] = adapted.class_names
        """The class names; a prediction's `label` is an index into this tuple."""
        self.calibration = calibration
        """The calibration of confidence; None if the run is not calibrated."""
        self.device = device
        """Name of the torch device that holds the models."""
        self.own = own_images
        """Class probabilities (posterior) of the run's training images. In a run without a
        posterior, only those of images whose class a person gave. None if there are neither."""
        self.folder: Path = run.folder.path
        """The run folder; its report is `folder / "report" / "index.html"`."""
        self.verdict: Verdict | None = run.record.judge.verdict
        """The guard's verdict: what the run uses (`verdict.outcome`), and why. None if the recipe
        has no guard."""
        self.progress: Progress = progress or SilentProgress()
        """The display of long work."""
        self.cache: FeatureCache | None = None
        """The cache of features of new images; None, the default, if all are encoded."""
        self._stored = stored
        self._forks = len(_FORKS)

    def __repr__(self) -> str:
        """Return the number of classes, the first class names, and the device."""
        class_list = ", ".join(self.classes[:3]) + (", ..." if len(self.classes) > 3 else "")
        classes = f"{len(self.classes)} classes: {class_list}"
        return f"{type(self).__name__}({classes}; device={self.device!r})"

    @property
    def key(self) -> str:
        """Digest of the run's record: an equal key means the same model."""
        return digest((self.folder / RECORD).read_bytes())

    @property
    def knows_none(self) -> bool:
        """True if answers "none of these" taught the model to name new images none."""
        return self.adapted.knows_none

    @property
    def reviewed(self) -> Path | None:
        """The run folder whose model answers teach; None if it came without the run's images."""
        return self.folder if RunFolder(self.folder).training_images.exists() else None

    @property
    def scale(self) -> float:
        """Factor that turns similarities into logits: calibrated, or else CLIP's logit scale."""
        return self.calibration.scale if self.calibration else self.adapted.logit_scale

    @property
    def _own_know_none(self) -> bool:
        """True if answers "none of these" say something about the run's training images."""
        own = self.own
        return own is not None and (own.posterior.none is not None or bool(own.none_keys))

    @property
    def names_every_new_image(self) -> bool:
        """True if there are answers "none of these" that did not teach this model."""
        return self._own_know_none and not self.adapted.knows_none

    def columns(self, top_k: int) -> Columns:
        """Return the columns of a predictions file with `top_k` classes per image."""
        has_match = (
            self.adapted.knows_none or self._own_know_none or self.adapted.logit_bias is not None
        )
        return Columns(min(top_k, len(self.classes)), match=has_match)

    def predict(
        self,
        images: GivenImages,
        *,
        top_k: int = 5,
        batch_size: int = BATCH_SIZE,
        on_unreadable: Unreadable | None = None,
    ) -> Predictions:
        """Return all predictions as a list, which has `to_frame`; see `predict_iter`.

        For a training image, the prediction for the file can differ from the prediction for a
        Pillow image of the same content.
        """
        predictions = Predictions(self.columns(top_k))
        with self.progress.task("predict", number_of_images(images), "images") as task:
            for rows in self._predict(images, top_k, batch_size, on_unreadable):
                predictions.extend(rows)
                task.advance(len(rows))
        return predictions

    def predict_iter(
        self,
        images: GivenImages,
        *,
        top_k: int = 5,
        batch_size: int = BATCH_SIZE,
        on_unreadable: Unreadable | None = None,
    ) -> Iterator[Prediction]:
        """Yield predictions in the order of the images, while the next images are read.

        Memory does not grow with the number of images.

        A file with the same content as a training image gets the class that a person gave to the
        training image. Without such a class, it gets the classes of the run's posterior (class
        probabilities of all training images together), if the run has one; they may be fewer than
        `top_k`. In both cases, `Prediction.source` is `own`. The classifier predicts all other
        files, and all Pillow images, because their pixels may have been changed.

        Args:
            images: a file, a folder (with everything below it), a Pillow image, or an iterable,
                generator, array or column of a table of these.
            top_k: classes per image; all classes if there are fewer.
            batch_size: images per forward pass.
            on_unreadable: called with each image that cannot be read, which is then left out.

        Raises:
            LatteError: for an unreadable image without `on_unreadable`; for a value that is no
                image; for a `top_k` or `batch_size` below 1; in a forked process, if the model was
                loaded before the fork and torch uses several threads, because torch would wait for
                ever.
        """
        for rows in self._predict(images, top_k, batch_size, on_unreadable):
            yield from rows

    def _predict(
        self, images: GivenImages, top_k: int, batch_size: int, on_unreadable: Unreadable | None
    ) -> Iterator[list[Prediction]]:
        """Yield the predictions of each batch."""
        check_positive("top_k", top_k)
        for batch in self._encode(images, batch_size, on_unreadable):
            similarities = self.adapted.similarities(batch.features)
            rows = predict_rows(
                batch.names,
                similarities,
                self.classes,
                logit_scale=self.scale,
                top_k=top_k,
                matches=self.adapted.matches(similarities),
                none=self.adapted.none_similarities(batch.features),
            )
            if self.own is not None:
                rows = [*self.own.replace(rows, batch.keys, self.classes, top_k)]
            yield [replace(row, key=key) for row, key in zip(rows, batch.keys, strict=True)]

    def features(self, images: GivenImages, *, batch_size: int = BATCH_SIZE) -> Tensor:
        """Return unit features (N, D) of all images, on the CPU.

        With several learners or encoders, D is the sum of their widths, and the cosine of two rows
        is the mean of their cosines. Raises `LatteError` as `predict_iter` does.
        """
        batches = [
            torch.cat(batch.features, dim=1) / len(batch.features) ** 0.5
            for batch in self._shown(images, batch_size, "features")
        ]
        width = sum(member.encoder.embedding_width for member in self.adapted.members)
        return torch.cat([torch.empty(0, width), *batches])

    def probabilities(self, images: GivenImages, *, batch_size: int = BATCH_SIZE) -> Tensor:
        """Return the probability (N, C) of each class for all images, on the CPU.

        They are the scores of `predict`. If answers "none of these" taught the model, the sum of a
        row is the probability that the image shows any of the classes. The posterior of a training
        image has its likeliest classes alone: the others get 0, and the sum may be less than 1.
        Raises `LatteError` as `predict_iter` does.

        Example:
            >>> model.probabilities("photos").argmax(dim=1)  # doctest: +SKIP
            tensor([0, 1, 1])
        """
        batches = [torch.empty(0, len(self.classes))]
        for batch in self._shown(images, batch_size, "probabilities"):
            similarities = self.adapted.similarities(batch.features)
            none = self.adapted.none_similarities(batch.features)
            probabilities = class_probabilities(similarities, self.scale, none)
            if self.own is not None:
                self.own.replace_probabilities(probabilities, batch.keys)
            batches.append(probabilities)
        return torch.cat(batches)

    def _shown(self, images: GivenImages, batch_size: int, name: str) -> Iterator[EncodedBatch]:
        """Yield batches of encoded images while their progress is shown as `name`."""
        with self.progress.task(name, number_of_images(images), "images") as task:
            for batch in self._encode(images, batch_size, None):
                yield batch
                task.advance(len(batch.names))

    def _encode(
        self, images: GivenImages, batch_size: int, on_unreadable: Unreadable | None
    ) -> Iterator[EncodedBatch]:
        check_positive("batch_size", batch_size)
        if len(_FORKS) > self._forks and self.device == "cpu" and torch.get_num_threads() > 1:
            raise LatteError(
                "the model was loaded before this process was forked, so PyTorch would hang",
                where="latte.load",
                hint="load the model in each process, or start the processes with "
                'multiprocessing.get_context("spawn"); or call torch.set_num_threads(1) first',
            )

        image_stream = named_images(images, unlisted(on_unreadable))
        return encode_stream(
            self.adapted,
            image_stream,
            batch_size=batch_size,
            on_unreadable=on_unreadable,
            stored=self._stored,
            cache=self.cache,
        )


def check_positive(name: str, value: int) -> None:
    """Raise `LatteError` if the argument `name` is less than 1."""
    if value < 1:
        raise LatteError(f"{value} is less than 1", where=name, hint="give 1 or more")


PredictorT = TypeVar("PredictorT", bound=Predictor)


def open_predictor(
    kind: type[PredictorT],
    run: str | PathLike[str],
    device: str = "auto",
    progress: Progress | None = None,
    *,
    use: UsedModel | None = None,
    work: Progress | None = None,
) -> PredictorT:
    """Open a model of a run folder, or of the hub, as `kind`: `Predictor` or a subclass.

    This needs neither the recipe's images nor its plugins; but if CLIP was trained, zero-shot CLIP
    needs the original weights and the plugin that loads them. `use` opens this model even if the
    guard chose another one. `progress` shows the loading, and `work` what the model does. Raises
    `LatteError` as `latte.load` does.
    """
    with machine_errors():
        folder = local_folder(run, progress)
        loaded = load_run_model(folder, device, progress or SilentProgress(), use)
        own_images = read_predicted(loaded.run, loaded.role)
    return kind(
        loaded.model,
        loaded.calibration,
        loaded.device,
        own_images,
        loaded.run,
        stored=stored_features(loaded.run, loaded.role, loaded.model),
        progress=work,
    )
