from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.describe.plan import Plan, TrainingSet, plan_requests
from latte.interfaces import LatteError
from latte.toolkit.descriptions import GroupDescription, GroupOptions
from tests.helpers.describe_doubles import ScriptedDescriber, context, descriptions, training_set

pytestmark = pytest.mark.thorough

labels_of = st.lists(st.integers(0, 2), min_size=1, max_size=30)


def only(plans: Mapping[str, Plan]) -> Plan:
    (plan,) = plans.values()
    return plan


def plan_of(
    training: TrainingSet, size: int = 2, max_images: int = 1, image_prompt: str = "What?"
) -> Plan:
    describer = ScriptedDescriber(max_images=max_images)
    return only(
        plan_requests(training, descriptions(size, image_prompt), {"main": describer}, seed=0)
    )


@given(labels_of, st.integers(2, 4), st.integers(0, 2**31 - 1))
def test_every_image_gets_every_description(labels: list[int], size: int, seed: int) -> None:
    training = training_set(labels)
    plan = only(plan_requests(training, descriptions(size), {"main": ScriptedDescriber()}, seed))
    assert set(plan.descriptions) == {"image", "group"}, "a class description asks nothing"
    for row in range(len(labels)):
        assert plan.requests[plan.descriptions["image"].rows[row][0]].members == (row,)
        group = plan.requests[plan.descriptions["group"].rows[row][0]].members
        assert len(group) == size
        assert {labels[member] for member in group} == {labels[row]}


@given(labels_of)
def test_groups_in_the_plan_are_those_that_are_asked_about(labels: list[int]) -> None:
    plan = plan_of(training_set(labels))
    planned = plan.descriptions["group"]
    assert planned.groups is not None
    asked_groups = [plan.requests[row].members for (row,) in planned.rows]
    assert asked_groups == [tuple(group) for group in planned.groups.tolist()]


def test_equal_files_are_asked_about_once() -> None:
    plan = plan_of(training_set([0, 0, 1], keys=["same", "same", "other"]))
    (row,), (same_file,), (other_file,) = plan.descriptions["image"].rows
    assert row == same_file != other_file
    assert len({request.key for request in plan.requests}) == len(plan.requests)


def test_equal_files_with_another_prompt_are_asked_about_again() -> None:
    training = training_set([0, 1], keys=["same", "same"])
    plan = plan_of(training, image_prompt="What does the {class} do?")
    (cat_row,), (dog_row,) = plan.descriptions["image"].rows
    assert [plan.requests[row].prompt for row in (cat_row, dog_row)] == [
        "What does the cat do?",
        "What does the dog do?",
    ]


def test_the_same_seed_plans_the_same_requests() -> None:
    training = training_set([0, 1, 0, 1, 0, 0, 0, 2] * 5)
    assert [*plan_of(training).requests] == [*plan_of(training).requests]
    other_seed = only(
        plan_requests(training, descriptions(2), {"main": ScriptedDescriber()}, seed=1)
    )
    assert [*other_seed.requests] != [*plan_of(training).requests]


def test_two_group_descriptions_draw_different_groups() -> None:
    training = training_set([0] * 40)
    group = descriptions(3)["group"]
    plan = only(
        plan_requests(training, {"a": group, "b": group}, {"main": ScriptedDescriber()}, seed=0)
    )
    a, b = plan.descriptions["a"].groups, plan.descriptions["b"].groups
    assert a is not None
    assert b is not None
    assert not torch.equal(a, b)


def test_a_describer_of_single_images_gets_a_group_as_one_grid() -> None:
    training = training_set([0, 0, 0, 0])
    plan = plan_of(training, size=4)
    (row,) = plan.descriptions["group"].rows[0]
    request = plan.request(row)
    members = list(plan.requests[row].members)
    (image,) = request.images
    assert image.open().size == (672, 672)
    mean = training.features[members].mean(0)
    assert torch.allclose(image.features, mean / mean.norm())
    assert image.key not in training.keys


def test_a_describer_of_several_images_gets_them_in_order() -> None:
    training = training_set([0, 0, 0, 0])
    plan = plan_of(training, size=4, max_images=4)
    (row,) = plan.descriptions["group"].rows[2]
    request = plan.request(row)
    members = plan.requests[row].members
    assert [image.key for image in request.images] == [training.keys[i] for i in members]
    assert [image.open().getpixel((0, 0)) for image in request.images] == [
        (i, 0, 0) for i in members
    ]


def test_a_group_too_large_for_the_describer_becomes_a_grid() -> None:
    plan = plan_of(training_set([0] * 5), size=4, max_images=3)
    assert len(plan.request(plan.descriptions["group"].rows[0][0]).images) == 1


def test_grids_and_separate_images_are_stored_under_different_keys() -> None:
    training = training_set([0] * 5)
    as_grid, separate = plan_of(training), plan_of(training, max_images=2)
    image, group = as_grid.descriptions["image"], as_grid.descriptions["group"]
    keys = [{plan.requests[row].key for (row,) in group.rows} for plan in (as_grid, separate)]
    assert keys[0].isdisjoint(keys[1])
    assert as_grid.requests[image.rows[0][0]].key == separate.requests[image.rows[0][0]].key


def test_images_are_decoded_only_when_the_describer_opens_them() -> None:
    training = training_set([0, 0])

    def forbidden(_: object) -> None:
        raise AssertionError("decoded too early")

    object.__setattr__(training, "open", forbidden)
    plan = plan_of(training)
    for index in range(len(plan.requests)):
        plan.request(index)


def test_without_a_describer_nothing_can_be_asked() -> None:
    with pytest.raises(LatteError, match="`image`") as caught:
        plan_requests(training_set([0]), descriptions(), {}, seed=0)
    assert "describer:" in str(caught.value.hint)


def test_class_descriptions_alone_need_no_describer() -> None:
    only_class = {"class": descriptions()["class"]}
    assert plan_requests(training_set([0]), only_class, {}, seed=0) == {}


def oracle_plan(training: TrainingSet, correct: int | None, seed: int = 0) -> Plan:
    """Plan groups of 4 with `correct` correct images, and a description of each image."""
    group = GroupDescription(GroupOptions(size=4, correct=correct, prompt="Common?"), context())
    kinds = {**descriptions(), "group": group}
    return only(plan_requests(training, kinds, {"main": ScriptedDescriber()}, seed))


@given(st.integers(0, 4), st.integers(0, 2**31 - 1))
def test_an_oracle_asks_about_groups_with_so_many_correct_images(correct: int, seed: int) -> None:
    labels, true = [0, 1] * 8, [0, 0, 1, 1] * 4
    training = replace(training_set(labels), true_labels=torch.tensor(true))
    plan = oracle_plan(training, correct, seed)
    for row, label in enumerate(labels):
        members = plan.requests[plan.descriptions["group"].rows[row][0]].members
        assert sum(true[member] == label for member in members) == correct
        assert len({*members}) == 4


def test_labels_change_nothing_where_no_description_asks_for_them() -> None:
    training = training_set([0, 1, 0, 1, 2, 2] * 3)
    labelled = replace(training, true_labels=torch.tensor([2, 0, 1] * 6))
    assert [*oracle_plan(labelled, None).requests] == [*oracle_plan(training, None).requests]


def test_an_oracle_without_labels_is_refused() -> None:
    with pytest.raises(LatteError, match="`group` are drawn by ground-truth labels") as caught:
        oracle_plan(training_set([0, 1]), 2)
    assert "oracle: true" in str(caught.value.hint)
