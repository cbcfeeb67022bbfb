"""Answers about names and differences, and the pairs of classes that are asked about."""

from __future__ import annotations

import pytest
import torch
from latte_questions.options import ChoicesOptions
from latte_questions.wordings import confused_pairs, read_differences, read_names


def test_names_are_read_without_marks_and_without_class_names() -> None:
    lines = ["1. Sea shore", "- the Beach.", "", "SEA  SHORE", "(2) “strand”", "* Coast"]
    text = "\n".join([*lines, "3) a name of more than six words"])
    assert read_names(text, ("coast", "forest")) == ["Sea shore", "the Beach", "strand"]
    assert read_names("Forest\ncoast.", ("coast", "forest")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. cat: long ears\n2. small ears", ["cat, long ears", "dog, small ears"]),
        ("long ears", []),
        ("ears\nears", []),
        ("a\nb\nc", []),
        (f"{'long ' * 50}\nears", []),
    ],
)
def test_differences_are_two_different_lines(text: str, expected: list[str]) -> None:
    assert read_differences(text, ("cat", "dog")) == expected


def test_pairs_are_those_that_images_are_doubtful_between() -> None:
    doubtful = torch.tensor([0.5, 0.4, 0.1]).repeat(4, 1)
    sure, rare = torch.tensor([[0.95, 0.0, 0.05]] * 9), torch.tensor([[0.1, 0.4, 0.5]] * 2)
    assert confused_pairs(torch.cat([sure, doubtful, rare])) == [(0, 1)]


def test_wordings_need_the_zero_shot_prior() -> None:
    with pytest.raises(ValueError, match="prior: zero_shot"):
        ChoicesOptions(names=True, prior="current")
