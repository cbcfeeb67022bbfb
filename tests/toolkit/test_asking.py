"""The order of asking covers doubt greedily, and says when further answers change little."""

from __future__ import annotations

import pytest
import torch
from latte_author.testing.fixtures import unit_rows
from torch import Tensor
from torch.nn.functional import normalize

from latte.toolkit.asking import asking_order


def groups(sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Unit features in tight groups of the given sizes, and the group of each."""
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    centres = torch.eye(8)[: len(sizes)]
    return normalize(centres[owner] + 0.15 * unit_rows(len(owner), 8, seed=1), dim=1), owner


def none(images: int) -> Tensor:
    return torch.zeros(images, dtype=torch.bool)


def test_the_first_answer_of_each_group_comes_before_the_second_of_any() -> None:
    features, owner = groups((30, 20, 12))
    order = asking_order(features, torch.full((62,), 0.5), none(62), none(62), 3)
    assert owner[order.rows].tolist() == [0, 1, 2]
    assert order.gains.tolist() == sorted(order.gains.tolist(), reverse=True)


def test_doubtful_images_and_those_that_adapting_changed_come_first() -> None:
    features, owner = groups((20, 20, 20, 1))
    answered, confidence = owner == 3, torch.where(owner == 1, 0.3, 0.9)
    assert owner[asking_order(features, confidence, none(61), answered, 1).rows].tolist() == [1]
    changed = asking_order(features, torch.full((61,), 0.9), owner == 2, answered, 1)
    assert owner[changed.rows].tolist() == [2]


def test_before_the_first_answer_the_largest_group_comes_first_whatever_its_confidence() -> None:
    features, owner = groups((30, 20, 12))
    confidence = torch.where(owner == 0, 0.95, 0.3)
    order = asking_order(features, confidence, owner == 2, none(62), 3)
    assert owner[order.rows].tolist() == [0, 1, 2]
    assert order.gains[0] < order.gains[1], "the gain is that of the wrong labels"


def test_answered_images_are_not_asked_about_and_cover_their_group() -> None:
    features, owner = groups((30, 20))
    answered = none(50)
    answered[3] = True
    order = asking_order(features, torch.full((50,), 0.5), none(50), answered, 60)
    assert owner[order.rows[0]] == 1
    assert sorted(order.rows.tolist()) == [row for row in range(50) if row != 3]


def test_gains_equal_a_slow_sum_over_all_images() -> None:
    features, _ = groups((7, 4))
    confidence, differs = torch.rand(11, generator=torch.Generator().manual_seed(0)), none(11)
    differs[5] = True
    centred = normalize(features - features.mean(dim=0), dim=1)
    reach = (centred @ centred.T).clamp_min(0).square().fill_diagonal_(1)
    wrong = [1.1 - float(value) for value in confidence]
    doubt = [wrong[i] + 0.5 * float(differs[i]) for i in range(11)]
    answered = none(11)
    answered[2] = True
    covered = [float(reach[2, i]) for i in range(11)]
    expected = []
    for place in range(4):
        added = [
            sum(doubt[j] * max(0.0, float(reach[i, j]) - covered[j]) for j in range(11))
            for i in range(11)
        ]
        asked = {2, *(row for row, _ in expected)}
        best = max({*range(11)} - asked, key=lambda row: added[row])
        covered_after = [max(covered[j], float(reach[best, j])) for j in range(11)]
        gain = (
            (1.75 - 0.015 * (place + 1))
            * sum(wrong[j] * (covered_after[j] - covered[j]) for j in range(11))
            / 11
        )
        expected.append((best, gain))
        covered = covered_after
    order = asking_order(features, confidence, differs, answered, 4)
    assert order.rows.tolist() == [row for row, _ in expected]
    assert torch.allclose(order.gains, torch.tensor([gain for _, gain in expected]), atol=1e-5)


def test_an_answer_puts_fewer_labels_right_than_the_answers_before_it() -> None:
    # Images whose groups are alike: only the number of earlier answers differs.
    features, confidence = torch.eye(200), torch.full((200,), 0.5)

    def gain_after(number: int) -> float:
        answered = torch.arange(200) < number
        return float(asking_order(features, confidence, none(200), answered, 1).gains)

    gains = [gain_after(number) for number in (0, 20, 60, 100, 150)]
    assert [gain / gains[0] for gain in gains] == pytest.approx(
        [1, 1.45 / 1.75, 0.85 / 1.75, 0.75 / 1.75, 0.75 / 1.75], rel=1e-3
    )


def test_an_image_between_all_groups_does_not_come_first() -> None:
    owner = torch.arange(3).repeat_interleave(15)
    loose = normalize(torch.eye(8)[owner] + unit_rows(45, 8, seed=1), dim=1)
    between = normalize(loose.mean(dim=0, keepdim=True), dim=1)
    order = asking_order(torch.cat([loose, between]), torch.full((46,), 0.5), none(46), none(46), 3)
    assert sorted(owner[order.rows].tolist()) == [0, 1, 2]


def test_asking_ends_when_ten_answers_change_less_than_a_point() -> None:
    features, _ = groups((40, 40))
    order = asking_order(features, torch.full((80,), 0.4), none(80), none(80), 10)
    assert order.is_worth_asking
    answered = none(80)
    answered[torch.arange(0, 80, 2)] = True
    assert not asking_order(features, torch.ones(80), none(80), answered, 10).is_worth_asking


def test_few_images_and_equal_images_are_sound() -> None:
    single = asking_order(torch.eye(2)[:1], torch.tensor([0.5]), none(1), none(1), 10)
    assert single.rows.tolist() == [0]
    alike = asking_order(torch.eye(4)[[0] * 5], torch.full((5,), 0.5), none(5), none(5), 2)
    assert len(alike.rows) == 2
    assert not asking_order(torch.eye(2), torch.ones(2), none(2), ~none(2), 3).is_worth_asking
