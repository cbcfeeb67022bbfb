"""Methods that replace the class texts: their sentences, and means of their features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from latte_author.testing import StubClip
from latte_author.testing.fixtures import training_start
from latte_field.base import FieldLabeler
from latte_field.lmm_texts import AskedOptions, CuplLabeler, DclipLabeler
from latte_field.templates import TemplatesLabeler
from latte_field.waffle import WORDS, WaffleLabeler, WaffleOptions
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Context,
    DescribeRequest,
    FeatureBank,
    LabelerPrototypes,
    NoOptions,
    Questions,
    TrainingStart,
)

CLIP = StubClip()
CONTEXT = Context(Path(), Path(), "cpu", 0, lambda: CLIP)
SEEN: list[str] = []


def encode(names: Sequence[str]) -> Tensor:
    SEEN.extend(names)
    return CLIP.encode_texts([f"a photo of a {name}." for name in names])


def prototypes(start: TrainingStart) -> LabelerPrototypes:
    started = LabelerPrototypes(NoOptions(), CONTEXT)
    started.start(start)
    return started


def rows_of(
    labeler: FieldLabeler[Any], questions: Questions | None = None
) -> tuple[TrainingStart, Tensor]:
    """Return the start, and the rows of the labeler's classifier."""
    start = replace(training_start(3), encode_names=encode, questions=questions)
    labeler.start(start)
    banks = {"a": FeatureBank(start.image_features)}
    info = labeler.on_epoch_start(banks, {"a": prototypes(start)}, 0)
    return start, info.classifiers["a"].weights


def test_eighty_templates_are_averaged_and_normalised() -> None:
    start, rows = rows_of(TemplatesLabeler(NoOptions(), CONTEXT))
    name = start.class_names[1]
    sentences = [f"a bad photo of a {name}.", f"a photo of many {name}."]
    text_features = CLIP.encode_texts(sentences)
    templates: Sequence[Callable[[str], str]] = OPENAI_IMAGENET_TEMPLATES
    assert [templates[0](name), templates[1](name)] == sentences
    total = sum(
        (CLIP.encode_texts([template(name)])[0] for template in templates), text_features[0] * 0
    )
    torch.testing.assert_close(rows[1], normalize(total, dim=0))


class Asked:
    """Questions that a function answers."""

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        self.answer = answer
        self.prompts: list[str] = []

    def ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        self.prompts += [request.prompt for request in requests]
        return [self.answer(request.prompt) for request in requests]

    def close(self) -> None:
        """Nothing to close."""


def test_dclip_reads_a_list_of_features_and_keeps_texts_without_answer() -> None:
    answers = {"class 1": "1. a red beak; long legs.\n- webbed feet"}
    questions = Asked(
        lambda prompt: next((a for name, a in answers.items() if name in prompt), None)
    )
    labeler = DclipLabeler(AskedOptions(), CONTEXT)
    start, rows = rows_of(labeler, cast("Any", questions))
    assert len(questions.prompts) == 3
    ends = ("a red beak", "long legs", "webbed feet")
    expected = encode([f"{start.class_names[1]}, which has {end}" for end in ends]).mean(dim=0)
    torch.testing.assert_close(rows[1], expected)
    torch.testing.assert_close(rows[0], start.class_features[0])


def test_cupl_averages_sentences_and_asks_once_per_class() -> None:
    questions = Asked(lambda prompt: f"Sentence on: {prompt}")
    labeler = CuplLabeler(AskedOptions(), CONTEXT)
    start, rows = rows_of(labeler, cast("Any", questions))
    about = [prompt for prompt in questions.prompts if start.class_names[2] in prompt]
    sentences = [f"Sentence on: {prompt}" for prompt in about]
    assert len(sentences) == 3
    expected = normalize(CLIP.encode_texts(sentences).mean(dim=0), dim=0)
    torch.testing.assert_close(rows[2], expected)
    resumed = CuplLabeler(AskedOptions(), CONTEXT)
    resumed.start(replace(start, questions=cast("Any", questions)))
    resumed.load_state(labeler.state())
    resumed.on_epoch_start({"a": FeatureBank(start.image_features)}, {"a": prototypes(start)}, 1)
    assert len(questions.prompts) == 9


def test_waffle_averages_sentences_with_the_same_random_ends_for_all_classes() -> None:
    SEEN.clear()
    labeler = WaffleLabeler(WaffleOptions(pairs=3), CONTEXT)
    start, rows = rows_of(labeler)
    # The next epoch encodes no sentence again.
    labeler.on_epoch_start({"a": FeatureBank(start.image_features)}, {"a": prototypes(start)}, 1)
    ends = [sentence.removeprefix(f"{start.class_names[0]}, which has ") for sentence in SEEN[:6]]
    assert [f"{name}, which has {end}" for name in start.class_names for end in ends] == SEEN
    assert all(word in WORDS for word in ends[0].split())
    assert [len(part) for part in ends[1].split(", ")] == [5, 5]
    of_second = CLIP.encode_texts([f"a photo of a {sentence}." for sentence in SEEN[6:12]])
    torch.testing.assert_close(rows[1], of_second.mean(dim=0))
    other_context = Context(Path(), Path(), "cpu", 1, lambda: CLIP)
    assert WaffleLabeler(WaffleOptions(pairs=3), other_context)._ends() != ends
