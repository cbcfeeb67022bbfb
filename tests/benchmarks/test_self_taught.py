"""The measurement of self-taught ridge gives all methods the same folders, answers and guard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks import self_taught as measurement
from benchmarks.answer_rivals import AnsweredSet, RivalLabels
from benchmarks.ridge_rivals import RIVALS
from latte.toolkit import self_taught as method

WIDTH = 12


def _random(names: Sequence[str]) -> Tensor:
    generator = torch.Generator().manual_seed(len(names))
    return normalize(torch.randn(len(names), WIDTH, generator=generator), dim=1)


def toy(name: str, seed: int, classes: int = 3, images: int = 60) -> LabelledSet:
    generator = torch.Generator().manual_seed(seed)
    texts = normalize(torch.randn(classes, WIDTH, generator=generator), dim=1)
    parts = []
    for _ in range(2):
        labels = torch.arange(images) % classes
        noise = torch.randn(images, WIDTH, generator=generator)
        parts.append(LabelledImages(normalize(texts[labels] + 0.15 * noise, dim=1), labels))
    names = tuple(f"{name} {label}" for label in range(classes))
    train, test = parts
    return LabelledSet(name, name, names, texts, 25.0, train, test, _random)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer plans and kinds of folder."""
    monkeypatch.setattr(measurement, "PLANS", ("1 per class", "10 random"))


SETS = [toy("first", 1), toy("second", 2), toy("third", 3, classes=10)]


@pytest.mark.parametrize("name", [*RIVALS])
def test_rivals_learn_clear_classes(name: str) -> None:
    labelled = toy("clear", 5)
    answers = torch.full((60,), -1)
    answers[:9] = labelled.train.labels[:9]
    labels = RIVALS[name](
        labelled.train.features, labelled.texts, answers, 25.0, labelled.test.features
    )
    assert float((labels.own == labelled.train.labels).double().mean()) > 0.9
    assert float((labels.unseen == labelled.test.labels).double().mean()) > 0.9


@pytest.mark.parametrize("name", [*RIVALS])
def test_answers_outweigh_texts_of_other_classes(name: str) -> None:
    """With swapped names, ten answers per class are worth more than the texts."""
    labelled = toy("swapped", 6)
    answers = torch.full((60,), -1)
    answers[:30] = labelled.train.labels[:30]
    labels = RIVALS[name](
        labelled.train.features, labelled.texts.roll(1, 0), answers, 1.0, labelled.test.features
    )
    assert float((labels.unseen == labelled.test.labels).double().mean()) > 0.9


def test_plans_give_true_classes_of_the_wanted_images(few: None) -> None:
    problems = {problem.place: problem for problem in measurement.problems_with_answers(SETS, 1)}
    names = {place[1] for place in problems}
    assert names == {"1 per class", "10 random", measurement.THREE, measurement.FIFTH}
    for problem in problems.values():
        truth, given = problem.answered.labelled.train.labels, problem.answers
        assert torch.equal(given[given >= 0], truth[given >= 0])
    three = problems["third", measurement.THREE, 0]
    assert {*three.answers.tolist()} == {-1, 0, 1, 2}
    assert len(three.answered.labelled.names) == 10
    fifth = problems["third", measurement.FIFTH, 0].answered.labelled.train.labels
    assert len({*fifth.tolist()}) == 2


def test_accuracy_on_own_images_leaves_answers_and_foreign_images_out() -> None:
    labelled = toy("first", 1)
    labels = labelled.train.labels.clone()
    labels[3:6] = -1
    answered = AnsweredSet(replace(labelled, train=LabelledImages(labelled.train.features, labels)))
    answers = torch.full((60,), -1)
    answers[:3] = labels[:3]
    problem = measurement.TeachingProblem(("first", "plan", 0), answered, answers)
    wrong = labels.clone()
    wrong[:6] = 2 - wrong[:6].clamp_min(0)

    def right_elsewhere(problem: measurement.TeachingProblem) -> RivalLabels:
        return RivalLabels(wrong, labelled.test.labels)

    assert measurement.measured([problem], right_elsewhere) == {problem.place: (100.0, 100.0)}


@pytest.mark.parametrize("limit", [-math.inf, math.inf])
def test_guard_decides_which_labels_count(limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = toy("first", 1)
    place, nothing = ("first", "kind", 0), torch.full((60,), -1)
    problem = measurement.TeachingProblem(place, AnsweredSet(labelled), nothing)
    adapted = RivalLabels((labelled.train.labels + 1) % 3, labelled.test.labels)
    monkeypatch.setattr(measurement.guard, "LEAST_REMOVED", limit)
    labels = measurement.guarded(lambda problem: adapted)(problem)
    expected = adapted if limit < 0 else measurement.zero_shot(problem)
    assert torch.equal(labels.own, expected.own)
    assert torch.equal(labels.unseen, expected.unseen)


def test_tables_name_every_method_and_constants_stay_as_shipped(
    few: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measurement, "KINDS", ("all names", "a fifth of the set's names"))
    monkeypatch.setattr(measurement, "CONSTANTS", {"TEXT": (0.5,)})
    monkeypatch.setattr(measurement, "load_sets", lambda options: [*SETS, toy("fourth", 4)])
    before = method.TEXT
    measurement.main(["--draws", "1", "--constants"])
    assert before == method.TEXT
    said = capsys.readouterr().out
    for name in RIVALS:
        assert f"self-taught minus {name}, own: all" in said or f"{name} with the guard" in said
    assert "TEXT 0.5, without answers, unseen: all" in said
    assert said.count("TEXT: one half chooses") == 2
    assert said.count("removed -inf: first half ") == len(measurement.LEADS)
