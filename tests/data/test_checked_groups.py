"""Oracle groups have the requested number of correct images, if that is possible."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.data.groups import draw_checked_groups
from latte.toolkit.seeds import seed_from

pytestmark = pytest.mark.thorough

Labels = list[int]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Labels, Labels, int, int, int]:
    """Draw zero-shot labels, true labels, group size, number of correct images, seed."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=25))
    size = draw(st.integers(1, 6))
    correct, seed = draw(st.integers(0, size)), draw(st.integers(0, 2**31))
    return (
        [label for label, _ in pairs],
        [true_label for _, true_label in pairs],
        size,
        correct,
        seed,
    )


def drawn(labels: Labels, true: Labels, size: int, correct: int, seed: int) -> torch.Tensor:
    frozen, truth = (torch.tensor(values, dtype=torch.int64) for values in (labels, true))
    return draw_checked_groups(frozen, truth, size, correct, seed)


def pools(labels: Labels, true: Labels, label: int) -> tuple[list[int], list[int], list[int]]:
    """Return the images of the class, those confused with it, and all others."""
    rows = range(len(labels))
    right = [row for row in rows if true[row] == label]
    confused = [row for row in rows if true[row] != label and labels[row] == label]
    other_images = [row for row in rows if true[row] != label and labels[row] != label]
    return right, confused, other_images


def reference(labels: Labels, true: Labels, size: int, correct: int, seed: int) -> list[list[int]]:
    """Draw the groups image by image, from lists, with the same random numbers."""
    generator = torch.Generator().manual_seed(seed_from("oracle groups", seed))
    uniform, places = torch.rand(2, len(labels), size, generator=generator, dtype=torch.float64)
    groups = []
    for row, label in enumerate(labels):
        right, confused, other_images = pools(labels, true, label)
        correct_here = 0 if not right else size if not confused + other_images else correct
        draws = uniform[row].tolist()
        members = take(right, draws[:correct_here])
        if len(confused) >= size - correct_here or not other_images:
            members += take(confused, draws[correct_here:])
        else:
            members += confused + take(other_images, draws[correct_here + len(confused) :])
        groups.append([members[place] for place in places[row].argsort().tolist()])
    return groups


def take(pool: list[int], draws: list[float]) -> list[int]:
    if len(pool) < len(draws):
        return [pool[int(draw * len(pool))] for draw in draws]
    left = [*pool]
    return [left.pop(int(draw * len(left))) for draw in draws]


@given(cases())
def test_oracle_groups_equal_the_slow_reference(
    case: tuple[Labels, Labels, int, int, int],
) -> None:
    assert drawn(*case).tolist() == reference(*case)


@given(cases())
def test_number_of_correct_images_is_exact_if_both_kinds_exist(
    case: tuple[Labels, Labels, int, int, int],
) -> None:
    labels, true, size, correct, _ = case
    groups = drawn(*case)
    assert groups.shape == (len(labels), size)
    assert groups.dtype == torch.int64
    for label, group in zip(labels, groups.tolist(), strict=True):
        right, confused, other_images = pools(labels, true, label)
        expected = 0 if not right else size if not confused + other_images else correct
        assert sum(true[member] == label for member in group) == expected


@given(cases())
def test_wrong_images_are_confused_ones_and_repeat_only_if_too_few(
    case: tuple[Labels, Labels, int, int, int],
) -> None:
    labels, true = case[:2]
    for label, group in zip(labels, drawn(*case).tolist(), strict=True):
        right, confused, other_images = pools(labels, true, label)
        members_right = [member for member in group if true[member] == label]
        wrong = [member for member in group if true[member] != label]
        assert len({*members_right}) == len(members_right) or len(right) < len(members_right)
        if len(confused) >= len(wrong):
            assert {*wrong} <= {*confused}
        elif other_images:
            assert {*confused} <= {*wrong}
        assert len({*wrong}) == len(wrong) or len(confused + other_images) < len(wrong)


def test_correct_images_have_random_positions() -> None:
    rows = 2000
    labels, true = [0] * rows, [0, 1] * (rows // 2)
    is_correct = torch.tensor(true)[drawn(labels, true, 4, 1, 0)] == 0
    counts = is_correct.sum(dim=0).double()
    expected = rows / 4
    assert float(((counts - expected) ** 2 / expected).sum()) < 16.3  # 0.1 % of draws are above


@pytest.mark.parametrize("correct", [-1, 5])
def test_more_correct_images_than_group_size_are_rejected(correct: int) -> None:
    with pytest.raises(ValueError, match=f"{correct} of 4"):
        drawn([0], [0], 4, correct, 0)
