"""The simulated describer of `python -m benchmarks questions`, on sheets and single images."""

from __future__ import annotations

import pytest
import torch
from latte_questions.wordings import differences_prompt, names_prompt
from torch.nn.functional import normalize

from benchmarks.folder_cells import Folder, Images
from benchmarks.names import NamingDescriber
from benchmarks.question_describer import SimulatedDescriber, picture, shown_rows
from benchmarks.questions import ExpectingInterview, ExpectingLabeler, answered
from latte.data.groups import grid
from latte.interfaces import DescribeRequest

CLASSES, EACH = 6, 20


def folder() -> Folder:
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    centres, generator = torch.eye(CLASSES, 16), torch.Generator().manual_seed(0)
    noise = 0.12 * torch.randn(len(labels), 16, generator=generator)
    images = Images(normalize(centres[labels] + noise, dim=1), labels)
    texts = normalize(torch.eye(16)[15] + 0.03 * centres[[1, 2, 0, 3, 4, 5]], dim=1)
    names = tuple(f"class {label}" for label in range(CLASSES))
    mix = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    return Folder(names, texts, 100.0, images, images, mix)


def simulated(right: float | None) -> SimulatedDescriber:
    return SimulatedDescriber(folder(), right, seed=0)


def test_images_are_recognised_on_sheets() -> None:
    rows = [0, 7, 255, 256, 1999]
    assert sorted(shown_rows(grid([picture(row) for row in rows]))) == rows
    assert shown_rows(picture(300)) == [300]


@pytest.mark.parametrize(("right", "least", "most"), [(0.99, 75, 100), (None, 45, 55)])
def test_good_answers_help_and_chance_changes_nothing(
    right: float | None, least: float, most: float
) -> None:
    found = answered(folder(), simulated(right), 60)
    assert least <= found.own <= most
    assert found.questions <= 60


@pytest.mark.parametrize("right", [0.99, None])
def test_the_expected_gain_is_zero_only_for_a_useless_describer(right: float | None) -> None:
    found = answered(folder(), simulated(right), 60, labeler_class=ExpectingLabeler)
    assert found == answered(folder(), simulated(right), 60)
    expected, low, high = ExpectingInterview.found
    assert low <= high
    assert (expected > 0) == (right is not None)


@pytest.mark.parametrize("right", [1.0, None])
def test_wordings_are_good_as_often_as_the_describer_is_right(right: float | None) -> None:
    known, (first, second, *_) = folder(), folder().names
    wordings = {
        name: {"good": [f"{name}!"] * 9, "poor": ["poor"] * 9, "looks": f"{name}?"}
        for name in known.names
    }
    describer = NamingDescriber(known, wordings, right, seed=0)
    prompts = names_prompt(first), differences_prompt(first, second)
    names, looks = describer.describe([DescribeRequest((), one) for one in prompts])
    assert (names == "\n".join([f"{first}!"] * 9)) == (right is not None)
    assert (looks == f"{first}?\n{second}?") == (right is not None)
