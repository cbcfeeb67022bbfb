"""Classify images with any opened model: the protocol, and its form for plugins' classifiers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from latte.evaluate.predictions import Columns, Prediction, predict_rows
from latte.interfaces import ImageClassifier
from latte.interfaces.provider import blaming
from latte.interfaces.returned import check_tensor
from latte.predict.predictor import BATCH_SIZE, check_positive
from latte.predict.stream import (
    GivenImages,
    ImageViews,
    Unreadable,
    named_images,
    unlisted,
    view_batches,
)

_LEAST = 1e-12
"""Least probability, whose logarithm is finite."""


class ImagePredictor(Protocol):
    """An opened model that classifies images: a run's, or one that a plugin saved.

    Example:
        >>> from latte.api.runs import ImagePredictor
        >>> def labels(model: ImagePredictor, folder: str) -> list[int]:
        ...     return [prediction.label for prediction in model.predict_iter(folder)]
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; a prediction's `label` is an index into this tuple."""

    @property
    def key(self) -> str:
        """Digest that identifies the model: an equal key means equal predictions."""

    @property
    def knows_none(self) -> bool:
        """True if answers "none of these" taught the model to name new images none."""

    @property
    def reviewed(self) -> Path | None:
        """The run folder whose model answers teach; None for a plugin's classifier."""

    def columns(self, top_k: int) -> Columns:
        """Return the columns of a predictions file with `top_k` classes per image."""

    def predict_iter(
        self,
        images: GivenImages,
        *,
        top_k: int = 5,
        batch_size: int = BATCH_SIZE,
        on_unreadable: Unreadable | None = None,
    ) -> Iterator[Prediction]:
        """Yield predictions in the order of the images; see `latte.load`."""


class ClassifierPredictor:
    """Predictor with the classifier of a plugin: finds, decodes and resizes the images for it.

    Example:
        >>> from latte.api import ImageClassifier
        >>> from latte.api.runs import ClassifierPredictor
        >>> def label(classifier: ImageClassifier, image: str) -> int:
        ...     (prediction,) = ClassifierPredictor(classifier).predict_iter(image)
        ...     return prediction.label
    """

    def __init__(self, classifier: ImageClassifier, key: str = "") -> None:
        """Use the `classifier`; an equal `key` means equal predictions."""
        self.classes: tuple[str, ...] = classifier.class_names
        self.key = key
        self.reviewed: Path | None = None
        self.knows_none = False
        self._classifier = classifier

    def columns(self, top_k: int) -> Columns:
        """Return the columns of a predictions file with `top_k` classes per image."""
        return Columns(min(top_k, len(self.classes)))

    def predict_iter(
        self,
        images: GivenImages,
        *,
        top_k: int = 5,
        batch_size: int = BATCH_SIZE,
        on_unreadable: Unreadable | None = None,
    ) -> Iterator[Prediction]:
        """Yield predictions in the order of the images, while the next images are read.

        Args and errors are those of `Predictor.predict_iter`.
        """
        check_positive("top_k", top_k)
        check_positive("batch_size", batch_size)
        batches = view_batches(
            named_images(images, unlisted(on_unreadable)),
            [self._classifier.pixel_format],
            batch_size=batch_size,
            on_unreadable=on_unreadable,
        )
        for views in batches:
            yield from self._rows(views, top_k)

    def _rows(self, views: list[ImageViews], top_k: int) -> Iterator[Prediction]:
        probabilities = self._probabilities(torch.stack([view.pixels[0] for view in views]))
        rows = predict_rows(
            [view.name for view in views],
            probabilities.clamp_min(_LEAST).log(),
            self.classes,
            logit_scale=1.0,
            top_k=top_k,
        )
        for row, view in zip(rows, views, strict=True):
            yield replace(row, key=view.key)

    def _probabilities(self, pixels: Tensor) -> Tensor:
        """Return the checked probabilities (B, C) of pixels (B, 3, S, S) uint8."""
        probabilities = self._classifier.probabilities(pixels)
        with blaming(self._classifier, "its probabilities"):
            shape = (len(pixels), len(self.classes))
            check_tensor("probabilities", probabilities, shape, torch.float32, torch.device("cpu"))
            if not bool(probabilities.isfinite().all() and (probabilities >= 0).all()):
                raise ValueError("a probability is negative, or no finite number")
        return probabilities
