"""Simulated describers that know the true classes of a folder's images.

They are right with probability p. The errors of two questions about one image are correlated by
0.8; a wrong answer is the first option with probability 0.3, otherwise a class that CLIP confuses
with the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import cast

import numpy
from latte_benchmarks.folder_cells import NO_CLASS, Folder
from PIL import Image
from torch import Tensor

from benchmarks.folder_methods import context_of, zero_shot
from latte.describe.plan import TrainingSet
from latte.interfaces import (
    Choice,
    ChoiceRequest,
    Describer,
    DescribeRequest,
    ImageReference,
    NoOptions,
    Refusal,
)
from latte.io.files import digest

CORRELATION, FIRST = 0.8, 0.3


@dataclass(frozen=True)
class Subject:
    """Image that a question is about, and the right answer."""

    key: str
    """Errors about equal keys are correlated."""
    label: int
    """Class of the image."""
    names: tuple[str, ...]
    """Class names and other names among the options."""
    right_name: str | None
    """The right option; None for "none of these"."""


class SimulatedDescriber(Describer[NoOptions]):
    """Describer that knows the classes of a folder's images, and is right with probability `right`.

    It recognises an image by its colour.
    """

    batch_size = 4096

    def __init__(self, folder: Folder, right: float | None, seed: int) -> None:
        super().__init__(NoOptions(), context_of(folder))
        self.folder = folder
        self.right = right
        self.seed = seed

    @property
    def fingerprint(self) -> str:
        """Identifier of the folder and the reliability."""
        return f"simulated {self.right} {self.seed}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """Return no text."""
        return [""] * len(requests)

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal]:
        """Return one option for each request, with probability 1."""
        return [request.choice(self._weights(request)) for request in requests]

    def _weights(self, request: ChoiceRequest) -> list[float]:
        weights = [0.0] * len(request.letters)
        weights[self._answer(request)] = 1.0
        return weights

    def _answer(self, request: ChoiceRequest) -> int:
        (image,) = request.images
        label = int(self.folder.own.labels[shown_row(image.open())])
        name = None
        if label != NO_CLASS and self.folder.names[label] in request.options:
            name = self.folder.names[label]
        return self.answer_about(request, Subject(image.key, label, request.options, name))

    def answer_about(self, request: ChoiceRequest, subject: Subject) -> int:
        """Return the index of the chosen option; the last one is "none of these"."""
        (image,) = request.images
        names, right = subject.names, len(request.letters) - 1
        if subject.right_name is not None:
            right = request.options.index(subject.right_name)
        draws = self.draws(subject.key, *request.options)
        shared = draws[0] < sqrt(CORRELATION)
        correct, position, confusion = self.draws(subject.key)[1:] if shared else draws[1:]
        if correct < (1 / len(request.letters) if self.right is None else self.right):
            return right
        if position < FIRST and right != 0:
            return 0
        wrong = sorted(name for name in names if request.options.index(name) != right)
        class_names = [name for name in wrong if name in self.folder.names]
        if not class_names:
            return request.options.index(wrong[int(confusion * len(wrong))])
        return request.options.index(self.confused(class_names, image.features, confusion))

    def confused(self, names: Sequence[str], features: Tensor, draw: float) -> str:
        """Return one of `names`, as probable as CLIP finds it; `draw` is uniform in [0, 1)."""
        texts = self.folder.texts[[self.folder.names.index(name) for name in names]]
        chances = (self.folder.logit_scale * (texts @ features)).softmax(dim=0).cumsum(dim=0)
        return names[min(int((chances < draw).sum()), len(names) - 1)]

    def draws(self, *seed_parts: str) -> list[float]:
        """Return four numbers in [0, 1), drawn by the seed and `parts`."""
        seed = int(digest(f"{self.seed}", *seed_parts)[:12], 16)
        numbers: list[float] = numpy.random.default_rng(seed).random(4).tolist()
        return numbers


def picture(row: int) -> Image.Image:
    """Return a picture whose colour stands for image `row`."""
    number = row + 1
    return Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 255))


def shown_row(shown: Image.Image) -> int:
    """Return the image that a picture stands for."""
    red, green, _ = cast(tuple[int, int, int], shown.getpixel((0, 0)))
    return red + 256 * green - 1


def training_set(folder: Folder) -> TrainingSet:
    """Return the own images, whose pictures `SimulatedDescriber` recognises."""
    count = len(folder.own)
    return TrainingSet(
        images=[ImageReference(str(row), Path(str(row))) for row in range(count)],
        keys=[f"image {row}" for row in range(count)],
        features=folder.own.features,
        zero_shot_labels=zero_shot(folder).own,
        class_names=folder.names,
        template="{class}",
        open=lambda image: picture(int(image.id)),
    )
