"""Answers about names and differences, and the pairs of classes that are asked about."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
import torch
from latte_questions.labeler import ChoicesLabeler
from latte_questions.options import ChoicesOptions
from latte_questions.wordings import confused_pairs, read_differences, read_names
from questions_double import (
    CLASSES,
    CONTEXT,
    TRUTH,
    Answering,
    Asked,
    first,
    labels,
    lowest,
    misnamed,
    none,
    refusal,
    right,
    without_questions,
)
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import TrainingStart


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


WORDED = ChoicesOptions(names=True, differences=True)
CENTRES = torch.eye(CLASSES, 16)


def fitting(prompt: str) -> str:
    """Write wordings that `encode` understands, of the classes that the prompt names."""
    numbers = [name.split()[1] for name in re.findall(r'"(class \d)"', prompt)]
    if prompt.startswith("Write"):
        return f"1. thing {numbers[0]}\n2. class 0"
    return "\n".join(f"like {number}" for number in dict.fromkeys(numbers))


def swapped(prompt: str) -> str:
    """Write wordings of other classes."""
    return re.sub(r"(thing|like) (\d)", lambda match: f"thing {(int(match[2]) + 1) % 8}",
                  fitting(prompt))  # fmt: skip


def useless(prompt: str) -> str:
    """Repeat a class name, or write sentences."""
    return "class 1\n\n- Class 1.\n* I am sorry, but I cannot name what is not shown here"


def encode(names: Sequence[str]) -> Tensor:
    base = torch.eye(16)[15]
    return normalize(base + 0.06 * torch.stack([CENTRES[int(name[-1])] for name in names]), dim=1)


def worded(
    questions: Asked,
    options: ChoicesOptions = WORDED,
    labeler: ChoicesLabeler | None = None,
    noise: float = 0.12,
) -> Tensor:
    start = TrainingStart(**{**vars(misnamed(noise)), "encode_names": encode})
    return labels(labeler or ChoicesLabeler(options, CONTEXT), start, questions)


def test_names_and_differences_come_before_all_other_questions() -> None:
    questions = Asked(130, right, fitting)
    worded(questions, noise=0.4)
    purposes = list(dict.fromkeys(questions.order))
    assert purposes == ["class-names", "differences", "controls", "images"]
    assert all(request.images == () for _, request in questions.texts)
    assert len({request.prompt for _, request in questions.texts}) == len(questions.texts)
    names = [request.prompt for purpose, request in questions.texts if purpose == "class-names"]
    assert len(names) == CLASSES
    assert questions.order.count("differences") <= 0.1 * (130 - CLASSES)


def test_a_small_budget_goes_to_few_names() -> None:
    questions = Asked(40, right, fitting)
    worded(questions)
    assert questions.order.count("class-names") == 4
    assert questions.order.count("differences") <= 2
    assert questions.asked <= 40


def test_wordings_that_fit_the_answers_change_the_class_texts() -> None:
    questions, labeler = Asked(130, right, fitting), ChoicesLabeler(WORDED, CONTEXT)
    image_labels = worded(questions, labeler=labeler)
    assert questions.notes["class-names"] == (CLASSES, 0)
    assert float((image_labels == TRUTH).double().mean()) > 0.95
    texts, start = labeler.state()["texts"], misnamed()
    accuracies = [
        float(((start.image_features @ class_texts.T).argmax(dim=1) == TRUTH).double().mean())
        for class_texts in (start.class_features, texts)
    ]
    assert accuracies[1] > accuracies[0] + 0.2
    assert torch.allclose(texts.norm(dim=1), torch.ones(CLASSES))


@pytest.mark.parametrize("write", [swapped, useless, lambda _: None])
def test_wordings_that_do_not_fit_change_nothing(write: Callable[[str], str | None]) -> None:
    """With a budget for all images, the other questions are the same."""
    questions = Asked(1000, right, write)
    assert torch.equal(worded(questions), worded(Asked(1000, right), ChoicesOptions()))
    assert questions.notes.get("class-names", (0, 0))[0] == 0


@pytest.mark.parametrize("answer", [first, lowest, refusal, none])
def test_wordings_of_a_useless_describer_change_nothing(answer: Answering) -> None:
    labeler = ChoicesLabeler(WORDED, CONTEXT)
    assert torch.equal(worded(Asked(60, answer, fitting), labeler=labeler), without_questions())
    assert "texts" not in labeler.state()


def test_a_resumed_run_keeps_the_class_texts_and_asks_nothing() -> None:
    questions, labeler = Asked(130, right, fitting), ChoicesLabeler(WORDED, CONTEXT)
    image_labels = worded(questions, labeler=labeler)
    later_questions = Asked(130, right, fitting)
    assert torch.equal(worded(later_questions), image_labels)
    assert later_questions.order == questions.order
    resumed = Resumed(WORDED, CONTEXT)
    resumed.saved = labeler.state()
    silent = Asked(130, right, fitting)
    assert torch.equal(worded(silent, labeler=resumed), image_labels)
    assert silent.order == []


class Resumed(ChoicesLabeler):
    """Labeler that continues from a stored state."""

    saved: dict[str, Tensor]

    def start(self, start: TrainingStart) -> None:
        super().start(start)
        self.load_state(self.saved)
