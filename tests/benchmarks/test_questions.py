"""The simulated answerers of `python -m benchmarks questions`, and the table's arms."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from latte_benchmarks.folder_cells import Folder, LabelledImages, LabelledSet
from torch.nn.functional import normalize

from benchmarks.confused_describer import ConfusedDescriber
from benchmarks.order_random import random_order
from benchmarks.orders import latte_order
from benchmarks.question_answerers import (
    ANSWERERS,
    CoarseDescriber,
    UnbiasedDescriber,
    coarse_names,
)
from benchmarks.question_arms import RandomInterview, answered, fitted, person
from benchmarks.question_describer import SimulatedDescriber, picture, shown_row
from benchmarks.questions import PERSON, arms_of, part_of
from latte.interfaces import ChoiceRequest, DescribedImage, LatteError

CLASSES, EACH = 6, 20


def folder(names: Sequence[str] = ()) -> Folder:
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    centres, generator = torch.eye(CLASSES, 16), torch.Generator().manual_seed(0)
    noise = 0.12 * torch.randn(len(labels), 16, generator=generator)
    images = LabelledImages(normalize(centres[labels] + noise, dim=1), labels)
    texts = normalize(torch.eye(16)[15] + 0.03 * centres[[1, 2, 0, 3, 4, 5]], dim=1)
    class_names = tuple(names or (f"class {label}" for label in range(CLASSES)))
    mix = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    return Folder(class_names, texts, 100.0, images, images, mix)


def chosen(describer: SimulatedDescriber, row: int) -> str:
    """Return the answer about an image, with all names as options."""
    image = DescribedImage(f"image {row}", folder().own.features[row], lambda: picture(row))
    request = ChoiceRequest((image,), "?", describer.folder.names, none_allowed=True)
    (choice,) = describer.choose([request])
    probabilities = (*getattr(choice, "probabilities", ()), getattr(choice, "none", 0.0))
    return (*request.options, "none")[probabilities.index(1.0)]


def test_images_are_recognised_by_their_colour() -> None:
    assert [shown_row(picture(row)) for row in (0, 255, 256, 1999)] == [0, 255, 256, 1999]


@pytest.mark.parametrize("kind", [UnbiasedDescriber, CoarseDescriber])
def test_answerers_are_right_as_often_as_they_say(kind: type[SimulatedDescriber]) -> None:
    describer = kind(folder(), 0.75, 0)
    right = [chosen(describer, row) == f"class {row // EACH}" for row in range(CLASSES * EACH)]
    assert 0.65 < sum(right) / len(right) < 0.85


def test_coarse_mistakes_stay_within_names_that_end_alike() -> None:
    names = ("red fox", "fire truck", "grey fox", "lorry", "blue van", "old van")
    describer = CoarseDescriber(folder(names), 0.5, 0)
    pairs = {(names[row // EACH], chosen(describer, row)) for row in range(2 * EACH)}
    assert {answer for name, answer in pairs if name == "red fox"} == {"red fox", "grey fox"}
    groups = coarse_names(folder(names))
    assert groups[4] == {"old van"}
    assert len(groups[1]) == 1
    assert "fire truck" not in groups[1]


def test_a_confused_describer_errs_on_a_third_of_the_pairs_and_keeps_the_mean() -> None:
    describer = ConfusedDescriber(folder(), 0.8, seed=0)
    assert len(describer.bad) == CLASSES * (CLASSES - 1) / 6
    assert 0.5 <= describer.right_if_bad < 0.8 < describer.right_elsewhere <= 0.99
    assert answered(folder(), describer, 60).own > fitted(folder()).own + 10
    with pytest.raises(LatteError, match="needs a number p"):
        ConfusedDescriber(folder(), None, seed=0)


@pytest.mark.parametrize("name", ["first option", "random"])
def test_answerers_that_guess_change_nothing(name: str) -> None:
    assert answered(folder(), ANSWERERS[name](folder(), 0), 60).own == fitted(folder()).own


def test_good_answers_help_within_the_budget() -> None:
    accuracy = answered(folder(), UnbiasedDescriber(folder(), 0.99, 0), 60)
    assert accuracy.own > 90 > fitted(folder()).own
    assert accuracy.questions == 60


def test_random_images_are_asked_about_once() -> None:
    accuracy = answered(
        folder(), UnbiasedDescriber(folder(), 0.99, 0), 200, interview=RandomInterview
    )
    assert accuracy.questions == 8 + CLASSES * EACH


def test_a_person_gives_as_many_true_classes_as_asked_for() -> None:
    every = CLASSES * EACH
    assert person(folder(), every, latte_order).own == 100
    few = person(folder(), 3, random_order)
    assert fitted(folder()).own < few.own < 100


def test_too_few_questions_are_not_asked() -> None:
    arms = arms_of(["independent, 90 %"], random=False)
    assert [*arms] == [PERSON, "independent, 90 %"]
    assert arms["independent, 90 %"](folder(), 0, 10) == fitted(folder())


def test_each_draw_is_another_part_of_the_set() -> None:
    whole = folder()
    labelled = LabelledSet(
        "squares", "squares", whole.names, whole.texts, 100.0, whole.own, whole.test
    )
    parts = [part_of(labelled, draw, 50) for draw in (0, 0, 1)]
    assert len(parts[0].own) == len(parts[0].test) == 50
    assert torch.equal(parts[0].own.features, parts[1].own.features)
    assert not torch.equal(parts[0].own.features, parts[2].own.features)
