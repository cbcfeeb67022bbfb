"""Questions that two functions answer, about groups of images with exchanged names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from latte_author.testing import StubClip
from latte_questions.labeler import ChoicesLabeler
from latte_questions.options import ChoicesOptions
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Choice,
    ChoiceRequest,
    Context,
    DescribedImage,
    DescribeRequest,
    FeatureBank,
    JointLabeler,
    LabelerPrototypes,
    NoOptions,
    TrainingStart,
)

CLASSES, EACH = 8, 12
NAMES = tuple(f"class {label}" for label in range(CLASSES))
TRUTH = torch.arange(CLASSES).repeat_interleave(EACH)
CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)
Answering = Callable[[ChoiceRequest, int], str | None]
"""Function from a request and the true class to the chosen option; None refuses."""


class Asked:
    """Questions whose describer is two functions; an image's key is its index."""

    def __init__(
        self, budget: int, answer: Answering, write: Callable[[str], str | None] = lambda _: None
    ) -> None:
        self.budget = budget
        self.answer = answer
        self.write = write
        self.requests: list[tuple[str, ChoiceRequest]] = []
        self.texts: list[tuple[str, DescribeRequest]] = []
        self.notes: dict[str, tuple[int, int]] = {}
        self.order: list[str] = []
        self.reliability = ""
        self.is_forecast = False
        self.closed = False
        self.saved: list[tuple[int, int, float]] | None = None

    @property
    def asked(self) -> int:
        return len(self.requests) + len(self.texts)

    def image(self, index: int) -> DescribedImage:
        return DescribedImage(str(index), torch.ones(1), lambda: Image.new("RGB", (1, 1)))

    def sheet(self, indices: Sequence[int]) -> DescribedImage:
        raise AssertionError("no sheet is shown")

    def choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        self.requests += [(purpose, request) for request in requests]
        self.order += [purpose] * len(requests)
        assert self.asked <= self.budget
        return [self._choice(request) for request in requests]

    def ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        self.texts += [(purpose, request) for request in requests]
        self.order += [purpose] * len(requests)
        assert self.asked <= self.budget
        return [self.write(request.prompt) for request in requests]

    def note(self, purpose: str, *, kept: int, contradictory: int) -> None:
        self.notes[purpose] = (kept, contradictory)

    def note_reliability(self, sentence: str) -> None:
        self.reliability = sentence

    def note_answers(
        self, rows: Sequence[int], labels: Sequence[int], reliabilities: Sequence[float]
    ) -> None:
        self.saved = [*zip(rows, labels, reliabilities, strict=True)]

    def close(self) -> None:
        self.closed = True

    def _choice(self, request: ChoiceRequest) -> Choice | None:
        chosen_label = self.answer(request, int(TRUTH[int(request.images[0].key)]))
        if chosen_label is None:
            return None
        shown = (*request.options, "none")
        return request.choice([float(label == chosen_label) for label in shown])


def right(request: ChoiceRequest, truth: int) -> str:
    return NAMES[truth] if NAMES[truth] in request.options else "none"


def first(request: ChoiceRequest, truth: int) -> str:
    return request.options[0]


def lowest(request: ChoiceRequest, truth: int) -> str:
    """Choose the same option in each order, whatever the images show."""
    return min(request.options)


def mostly_right(request: ChoiceRequest, truth: int) -> str:
    """Choose a wrong class for one image in five."""
    others = [name for name in request.options if name in NAMES and name != NAMES[truth]]
    return others[0] if others and int(request.images[0].key) % 5 == 0 else right(request, truth)


def refusal(request: ChoiceRequest, truth: int) -> None:
    return None


def none(request: ChoiceRequest, truth: int) -> str:
    return "none"


def misnamed(noise: float = 0.12) -> TrainingStart:
    """Groups, clear at little noise, of which three have the name of another."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(CLASSES, 16)
    images = centres[TRUTH] + noise * torch.randn(len(TRUTH), 16, generator=generator)
    images = normalize(images, dim=1)
    # Text logits of an image differ by about 3, as those of CLIP do.
    texts = torch.eye(16)[15] + 0.03 * centres[[1, 2, 0, 3, 4, 5, 6, 7]]
    texts = normalize(texts, dim=1)
    return TrainingStart(
        NAMES, texts, images, (images @ texts.T).argmax(dim=1), lambda name: images
    )


def labels(
    labeler: JointLabeler[Any], start: TrainingStart, questions: Asked | None = None
) -> Tensor:
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    aggregator.start(start)
    labeler.start(
        start if questions is None else TrainingStart(**{**vars(start), "questions": questions})
    )
    labeler.on_epoch_start({"main": FeatureBank(start.image_features)}, {"main": aggregator}, 0)
    posterior = labeler.posterior("main")
    assert posterior is not None
    return posterior.labels[:, 0]


def choices() -> ChoicesLabeler:
    return ChoicesLabeler(ChoicesOptions(), CONTEXT)


def without_questions() -> Tensor:
    return labels(choices(), misnamed())
