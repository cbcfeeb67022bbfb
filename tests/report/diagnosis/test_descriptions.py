"""Measures of descriptions, on texts with known features."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from latte.report.diagnosis.descriptions import (
    Texts,
    agreement_by_chance,
    description_sections,
    mean_pairwise_cosine,
    mix_shares,
)
from latte.testing.fixtures import unit_rows
from latte.toolkit.mixer import margin_weights, mix
from tests.helpers.property_inputs import QUICKLY, drawn_labels, one_each

CLASSES = torch.eye(4)[:3]
TEXTS = torch.eye(4)
"""Three texts that name a class each, and one that names none."""
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def texts(rows: list[int], answered: list[bool] | None = None) -> Texts:
    return Texts(
        features=TEXTS,
        rows={"class": LABELS, "image": torch.tensor(rows)},
        answered={"image": torch.tensor(answered or [True] * len(rows))},
        leaking=frozenset(),
        classifier=one_each(CLASSES),
    )


def values(found: Texts) -> dict[str, float]:
    sections = description_sections(found, LABELS)
    assert [section.title for section in sections] == ["description `class`", "description `image`"]
    return {
        one.measure.key.removeprefix("description."): one.value
        for section in sections
        for one in section.measurements
    }


def test_texts_that_name_each_image_s_label_tell_everything() -> None:
    found = values(texts([0, 0, 1, 1, 2, 2]))
    assert found["image.names_label"] == found["image.information"] == 1.0
    assert found["image.refused"] == 0.0
    assert found["image.distinct"] == 0.5
    assert found["image.pairwise_cosine"] == pytest.approx(0.2)
    assert found["image.margin"] == pytest.approx(1.0, abs=1e-5)
    assert found["image.weight"] == found["class.weight"] == pytest.approx(0.5)


def test_texts_that_name_the_wrong_class_consistently_still_inform() -> None:
    found = values(texts([1, 1, 2, 2, 0, 0]))
    assert found["image.names_label"] == 0.0
    assert found["image.information"] == pytest.approx(1.0)


def test_a_describer_that_says_the_same_of_everything_tells_nothing() -> None:
    found = values(texts([3] * 6))
    assert found["image.information"] == 0.0
    assert found["image.distinct"] == pytest.approx(1 / 6)
    assert found["image.pairwise_cosine"] == pytest.approx(1.0)
    assert found["image.weight"] == pytest.approx(0.0, abs=1e-5)
    assert found["class.weight"] == pytest.approx(1.0, abs=1e-5)


def test_what_was_refused_is_not_taken_for_what_was_said() -> None:
    found = values(texts([0, 0, 2, 2, 2, 2], [True, True, False, False, True, True]))
    assert found["image.refused"] == pytest.approx(1 / 3)
    assert found["image.names_label"] == 1.0
    named = texts([0, 1, 2, 2, 2, 2], [True, True, False, False, True, True]).named("image", LABELS)
    assert named[[0, 1, 4, 5]].tolist() == [1, 0, 1, 1]
    assert named[2:4].isnan().all()


def test_where_everything_was_refused_there_is_nothing_to_measure() -> None:
    found = values(texts([0] * 6, [False] * 6))
    assert found["image.refused"] == 1.0
    assert math.isnan(found["image.names_label"])
    assert math.isnan(found["image.pairwise_cosine"])
    assert not math.isnan(found["image.weight"])


def test_without_a_describer_there_is_no_section() -> None:
    alone = Texts(TEXTS, {"class": LABELS}, {}, frozenset(), one_each(CLASSES))
    assert description_sections(alone, LABELS) == []


@QUICKLY
@given(st.integers(1, 3), st.integers(1, 8), st.integers(0, 10_000))
def test_shares_are_those_of_the_mixer(count: int, images: int, seed: int) -> None:
    classifier = one_each(unit_rows(4, 5, seed))
    margins = [margin_weights(unit_rows(images, 5, seed + n), classifier) for n in range(count)]
    found = mix_shares(margins)
    assert sum(found) == pytest.approx(1.0)
    marks = [torch.eye(count)[n].expand(images, count) for n in range(count)]
    assert found == pytest.approx(mix(marks, margins).mean(dim=0).tolist(), abs=1e-6)


@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 10_000))
def test_chance_agreement_is_the_mean_over_all_pairs(images: int, classes: int, seed: int) -> None:
    first, second = drawn_labels(images, classes, seed), drawn_labels(images, classes, seed + 1)
    pairs = [int(one) == int(other) for one in first for other in second]
    found = agreement_by_chance(first, second, classes)
    assert found == pytest.approx(sum(pairs) / len(pairs))


@QUICKLY
@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 10_000))
def test_mean_cosine_equals_a_slow_loop_over_repeated_rows(
    distinct: int, width: int, seed: int
) -> None:
    features = normalize(unit_rows(distinct, width, seed).double(), dim=1)
    counts = drawn_labels(distinct, 3, seed) + 1
    rows = features.repeat_interleave(counts, dim=0)
    cosines = [
        float(one @ other) for i, one in enumerate(rows) for j, other in enumerate(rows) if i != j
    ]
    found = mean_pairwise_cosine(features, counts)
    if cosines:
        assert found == pytest.approx(sum(cosines) / len(cosines), abs=1e-9)
    else:
        assert math.isnan(found)
