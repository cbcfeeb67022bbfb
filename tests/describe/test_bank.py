from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.describe.bank import DescriptionBank
from latte.describe.columns import Column
from latte.describe.generate import generate
from latte.describe.plan import plan_requests
from latte.describe.store import DescriptionStore
from latte.interfaces import Described, LatteError
from tests.helpers.describe_doubles import ScriptedDescriber, descriptions, training_set
from tests.helpers.describe_runs import NAMES, TEMPLATE, bank_of
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

labels_of = st.lists(st.integers(0, 2), min_size=1, max_size=40)
seed_of = st.integers(0, 2**31 - 1)


def everyone(bank: DescriptionBank) -> torch.Tensor:
    return torch.arange(len(bank))


def test_image_description_is_the_images_text() -> None:
    bank = bank_of([0, 1, 2])
    assert bank.texts("image", torch.tensor([2, 0]), None, epoch=3, seed=1) == [
        "image 2",
        "image 0",
    ]


def test_a_class_text_is_about_the_labels_that_are_given() -> None:
    bank = bank_of([0, 0, 0])
    texts = bank.texts("class", torch.tensor([1, 0]), torch.tensor([2, 1]), epoch=0, seed=0)
    assert texts == ["this is a fish.", "this is a dog."]
    with pytest.raises(ValueError, match="needs class labels"):
        bank.rows("class", torch.tensor([1]), None, epoch=0, seed=0)


def test_own_texts_of_a_class_are_about_frozen_or_given_labels() -> None:
    bank = bank_of([0, 1, 1])

    def said(label: str, class_labels: torch.Tensor | None = None) -> list[str]:
        return [bank.unique_texts[row] for row in bank.own_rows(label, class_labels)[:, 0].tolist()]

    assert said("class") == ["this is a cat.", "this is a dog.", "this is a dog."]
    assert said("group") == ["group 0", "group 1", "group 2"]
    assert said("class", torch.tensor([2, 0, 1])) == [
        "this is a fish.",
        "this is a cat.",
        "this is a dog.",
    ]
    assert said("image", torch.tensor([2, 0, 1])) == ["image 0", "image 1", "image 2"]


def test_distinct_rows_are_all_texts_of_a_description() -> None:
    bank = bank_of([0, 0, 0], refused=[1, 2])
    texts = {
        name: sorted(bank.unique_texts[row] for row in bank.distinct_rows(name).tolist())
        for name in ("class", "image")
    }
    assert texts["class"] == ["this is a cat.", "this is a dog.", "this is a fish."]
    assert texts["image"] == ["a photo of a cat.", "image 0"]


@given(labels_of, seed_of, st.integers(0, 50))
def test_a_redrawn_group_has_the_same_frozen_label(
    labels: list[int], seed: int, epoch: int
) -> None:
    bank = bank_of(labels)
    for row, text in enumerate(bank.texts("group", everyone(bank), None, epoch, seed)):
        assert labels[int(text.removeprefix("group "))] == labels[row]


@given(labels_of, seed_of, st.integers(0, 50), st.randoms())
def test_draws_depend_on_seed_epoch_and_image_not_on_the_batch(
    labels: list[int], seed: int, epoch: int, random: object
) -> None:
    bank = bank_of(labels)
    all_rows = bank.rows("group", everyone(bank), None, epoch, seed)
    some = torch.tensor(random.choices(range(len(labels)), k=7))  # type: ignore[attr-defined]
    fresh = bank_of(labels)
    fresh.rows("group", everyone(fresh), None, epoch + 1, seed)
    assert torch.equal(fresh.rows("group", some, None, epoch, seed), all_rows[some])


def test_epochs_seeds_and_descriptions_draw_differently() -> None:
    labels = torch.zeros(50, dtype=torch.int64)
    group = descriptions(redraw=True)["group"]
    column = Column([(f"group {i}",) for i in range(50)], torch.zeros(50, 2, dtype=torch.int64))
    groups = {"a": group, "b": group}
    ids = [str(i) for i in range(50)]
    bank = DescriptionBank(ids, labels, NAMES, TEMPLATE, groups, {"a": column, "b": column})
    draws = [
        bank.texts(label, everyone(bank), None, epoch, seed)
        for label, epoch, seed in [("a", 0, 0), ("a", 1, 0), ("a", 0, 1), ("b", 0, 0)]
    ]
    assert len({tuple(draw) for draw in draws}) == 4


def test_a_refused_description_becomes_the_template_of_the_frozen_label() -> None:
    bank = bank_of([2, 0, 2], redraw=False, refused=[0])
    for label in ("image", "group"):
        texts = bank.texts(label, everyone(bank), None, 0, 0)
        assert texts == ["a photo of a fish.", f"{label} 1", f"{label} 2"]


@given(labels_of, st.sets(st.integers(0, 39)))
def test_distinct_texts_are_stored_once(labels: list[int], refused: set[int]) -> None:
    bank = bank_of(labels, refused=sorted(refused))
    assert len(set(bank.unique_texts)) == len(bank.unique_texts)
    used = torch.cat([bank.own_rows(label)[:, 0] for label in ("image", "group")])
    classes = bank.rows("class", torch.zeros(3), torch.arange(3), 0, 0)
    assert set(torch.cat([used, classes]).tolist()) == set(range(len(bank.unique_texts)))


def test_the_gallery_shows_texts_with_the_images_they_are_about() -> None:
    training = training_set([0, 0, 0])
    bank = bank_of([0, 0, 0])
    assert bank.described(1, training.images.__getitem__) == {
        "image": Described("image 1"),
        "group": Described("group 1", (training.images[1], training.images[1])),
    }


def test_bank_from_plan_gives_texts_of_a_batch(tmp_path: Path) -> None:
    training = training_set([0, 1, 0, 1, 2], keys=["a", "b", "a", "d", "e"])
    kinds = descriptions(size=3, redraw=False)
    describer = ScriptedDescriber(max_images=4)
    plans = plan_requests(training, kinds, {"main": describer}, seed=0)
    plan = plans["main"]
    with DescriptionStore(tmp_path) as store:
        result = generate(describer, plan, store, RecordedProgress())
    bank = DescriptionBank.from_plans(training, plans, {"main": result}, kinds)
    assert bank.texts("image", torch.tensor([0, 2, 4]), None, 0, 0) == [
        "What? a",
        "What? a",
        "What? e",
    ]
    groups = plan.descriptions["group"].groups
    assert groups is not None
    members = "+".join(training.keys[i] for i in groups[3].tolist())
    assert bank.texts("group", torch.tensor([3]), None, 0, 0) == [f"In common? {members}"]


def test_saved_bank_has_one_readable_line_per_image(tmp_path: Path) -> None:
    path = tmp_path / "run" / "descriptions.jsonl"
    bank_of([0, 2], refused=[1]).save(path)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == [
        {
            "id": "0.jpg",
            "frozen_label": 0,
            "frozen_class": "cat",
            "descriptions": {
                "image": {"text": "image 0"},
                "group": {"text": "group 0", "group": ["0.jpg", "0.jpg"]},
            },
        },
        {
            "id": "1.jpg",
            "frozen_label": 2,
            "frozen_class": "fish",
            "descriptions": {
                "image": {"text": None},
                "group": {"text": None, "group": ["1.jpg", "1.jpg"]},
            },
        },
    ]


def test_undecodable_file_names_are_saved_and_loaded(tmp_path: Path) -> None:
    ids = ["gr\udcfcn.jpg", 'a"\\\n\u2028.jpg', "ü.jpg"]
    bank = DescriptionBank(ids, torch.tensor([0, 1, 2]), NAMES, TEMPLATE, {}, {})
    bank.save(tmp_path / "d.jsonl")
    assert DescriptionBank.load(tmp_path / "d.jsonl", NAMES, TEMPLATE, {}).ids == tuple(ids)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"image 1"', "7", 1)[:-30],
        lambda text: text.replace("image", "picture"),
        lambda text: text.replace('"frozen_label": 1', '"frozen_label": 3'),
        lambda text: text.replace('["1.jpg", "1.jpg"]', '["1.jpg", "9.jpg"]'),
        lambda text: text.replace('["1.jpg", "1.jpg"]', '["1.jpg"]'),
        lambda text: text.replace(', "group": ["1.jpg", "1.jpg"]', ""),
        lambda text: "[]\n" + text,
    ],
)
def test_file_that_does_not_fit_the_recipe_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "descriptions.jsonl"
    bank_of([0, 1]).save(path)
    original_text = path.read_text()
    path.write_text(damage(original_text))  # type: ignore[operator]
    assert path.read_text() != original_text
    with pytest.raises(LatteError, match="fit this recipe") as caught:
        DescriptionBank.load(path, NAMES, TEMPLATE, descriptions())
    assert str(path) in str(caught.value.where)


def test_missing_bank_file_error_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="No such file") as caught:
        DescriptionBank.load(tmp_path / "descriptions.jsonl", NAMES, TEMPLATE, {})
    assert "describe" in str(caught.value.hint)
