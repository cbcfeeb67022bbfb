"""Describers and a labeler that asks them, and the questions of a run of four pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from latte_author.testing import StubClip
from torch import Tensor

from latte.describe.plan import TrainingSet
from latte.interfaces import (
    Batch,
    Choice,
    ChoiceRequest,
    Context,
    Describer,
    DescribeRequest,
    EpochInfo,
    LabelStream,
    NoOptions,
    Options,
    Progress,
    PseudoLabeler,
    Refusal,
    TrainingStart,
    full_stream,
)
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec
from latte.run.questions import StoredQuestions
from tests.helpers.describe_doubles import training_set
from tests.helpers.recipes import registry_with
from tests.helpers.recorded import RecordedProgress

NAMES = ("red", "green", "blue")


class First(Describer[NoOptions]):
    """Always chooses the first option; refuses questions that contain `secret`."""

    sent: ClassVar[list[ChoiceRequest]] = []
    written: ClassVar[list[DescribeRequest]] = []
    closed: ClassVar[list[bool]] = []

    @property
    def fingerprint(self) -> str:
        return "first-1"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str | Refusal]:
        self.written.extend(requests)
        return [
            Refusal("no") if "secret" in request.prompt else f"one\ntwo of {request.prompt}"
            for request in requests
        ]

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal]:
        self.sent.extend(requests)
        return [
            Refusal("no")
            if "secret" in request.prompt
            else request.choice([1] + [0] * (len(request.letters) - 1))
            for request in requests
        ]

    def close(self) -> None:
        self.closed.append(True)


class Counting(First):
    """Counts 600 input tokens for each question in the first 16, 1,000 later, and 2 output tokens.

    The call number `killed` fails like a process that is killed.
    """

    batch_size = 8
    killed = -1
    calls = 0
    spent = 0

    @property
    def counters(self) -> dict[str, int]:
        return {"tokens": 2 * len(self.sent), "prompt tokens": self.spent}

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice | Refusal]:
        self.calls += 1
        if self.calls == self.killed:
            raise KeyboardInterrupt
        self.spent += sum(
            600 if int(request.images[0].key[4:]) < 16 else 1000 for request in requests
        )
        return super().choose(requests)


class AskingOptions(Options):
    describer: str = ""

    @property
    def questions_to(self) -> str:
        return self.describer


class Asking(PseudoLabeler[AskingOptions]):
    """Labels images with their zero-shot class; asks about each image, and about a sheet."""

    start_: TrainingStart

    def start(self, start: TrainingStart) -> None:
        self.start_ = start

    def on_epoch_start(self, *arguments: Any) -> EpochInfo:
        questions = self.start_.questions
        assert questions is not None
        class_features = self.start_.encode_names(self.start_.class_names)
        assert torch.allclose(class_features, self.start_.class_features, atol=1e-6)
        sheet = ChoiceRequest((questions.sheet([0, 1]),), "sheet?", self.start_.class_names)
        questions.choose("sheets", [sheet])
        images = [questions.image(row) for row in range(len(self.start_.image_features))]
        requests = [ChoiceRequest((image,), "which?", self.start_.class_names) for image in images]
        choices = questions.choose("images", requests)
        questions.note(
            "images", kept=sum(choice is not None for choice in choices), contradictory=1
        )
        return EpochInfo()

    def assign(self, batch: Batch, image_features: Tensor, aggregator: Any) -> list[LabelStream]:
        labels = self.start_.zero_shot_labels[batch.indices]
        return [full_stream("asking", labels, image_features, 1.0)]


def registry() -> Registry:
    here = "tests.helpers.asking"
    return registry_with(
        ComponentSpec("describer", "first", f"{here}:First", "test"),
        ComponentSpec("labeler", "asking", f"{here}:Asking", "test"),
    )


def training(count: int) -> TrainingSet:
    keys = [f"key {row}" for row in range(count)]
    return replace(training_set([0] * count, keys, NAMES), features=torch.eye(count))


def questions(
    folder: Path,
    budget: int,
    describer: type[First] = First,
    progress: Progress | None = None,
    **options: Any,
) -> StoredQuestions:
    First.sent.clear()
    First.written.clear()
    First.closed.clear()
    context = Context(Path(), Path(), "cpu", 0, StubClip)
    return StoredQuestions(
        lambda: describer(NoOptions(), context),
        training(100),
        budget,
        folder / "store",
        progress or RecordedProgress(),
        **options,
    )


def about(door: StoredQuestions, row: int, prompt: str = "which?") -> ChoiceRequest:
    return ChoiceRequest((door.image(row),), prompt, NAMES)
