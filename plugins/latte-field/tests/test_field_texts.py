"""Methods that replace the class texts: their sentences, and means of their features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from latte_field.base import FieldLabeler
from latte_field.templates import TemplatesLabeler
from latte_field.waffle import WORDS, WaffleLabeler, WaffleOptions
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import Context, FeatureBank, LabelerPrototypes, NoOptions, TrainingStart
from latte.testing import StubClip
from latte.testing.fixtures import training_start

CLIP = StubClip()
CONTEXT = Context(Path(), Path(), "cpu", 0, lambda: CLIP)
SEEN: list[str] = []


def encode(names: Sequence[str]) -> Tensor:
    SEEN.extend(names)
    return CLIP.encode_texts([f"a photo of a {name}." for name in names])


def rows_of(labeler: FieldLabeler[Any]) -> tuple[TrainingStart, Tensor]:
    """Return the start, and the rows of the labeler's classifier."""
    start = replace(training_start(3), encode_names=encode)
    labeler.start(start)
    prototypes = LabelerPrototypes(NoOptions(), CONTEXT)
    prototypes.start(start)
    info = labeler.on_epoch_start({"a": FeatureBank(start.image_features)}, {"a": prototypes}, 0)
    return start, info.classifiers["a"].weights


def test_eighty_templates_are_averaged_and_normalised() -> None:
    start, rows = rows_of(TemplatesLabeler(NoOptions(), CONTEXT))
    name = start.class_names[1]
    sentences = [f"a bad photo of a {name}.", f"a photo of many {name}."]
    first = CLIP.encode_texts(sentences)
    templates: Sequence[Callable[[str], str]] = OPENAI_IMAGENET_TEMPLATES
    assert [templates[0](name), templates[1](name)] == sentences
    total = sum((CLIP.encode_texts([template(name)])[0] for template in templates), first[0] * 0)
    torch.testing.assert_close(rows[1], normalize(total, dim=0))


def test_waffle_averages_sentences_with_the_same_random_ends_for_all_classes() -> None:
    SEEN.clear()
    start, rows = rows_of(WaffleLabeler(WaffleOptions(pairs=3), CONTEXT))
    ends = [sentence.removeprefix(f"{start.class_names[0]}, which has ") for sentence in SEEN[:6]]
    assert [f"{name}, which has {end}" for name in start.class_names for end in ends] == SEEN
    assert all(word in WORDS for word in ends[0].split())
    assert [len(part) for part in ends[1].split(", ")] == [5, 5]
    of_second = CLIP.encode_texts([f"a photo of a {sentence}." for sentence in SEEN[6:12]])
    torch.testing.assert_close(rows[1], of_second.mean(dim=0))
    other = Context(Path(), Path(), "cpu", 1, lambda: CLIP)
    assert WaffleLabeler(WaffleOptions(pairs=3), other)._ends() != ends
