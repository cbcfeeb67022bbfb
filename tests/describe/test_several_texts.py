"""Several prompts, samples and describers, and groups that the images of a class share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.describe.bank import ABSENT, DescriptionBank
from latte.describe.columns import Column
from latte.describe.generate import generate
from latte.describe.plan import TrainingSet, plan_requests
from latte.describe.store import DescriptionStore
from latte.interfaces import Described, DescribeRequest, DescriptionType, LatteError
from latte.toolkit.descriptions import (
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
)
from tests.helpers.describe_doubles import (
    ScriptedDescriber,
    context,
    descriptions,
    echo,
    training_set,
)
from tests.helpers.describe_runs import NAMES, TEMPLATE
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

labels_of = st.lists(st.integers(0, 2), min_size=1, max_size=30)
seed_of = st.integers(0, 2**31 - 1)
Kinds = Mapping[str, DescriptionType[Any]]


class VaryingDescriber(ScriptedDescriber):
    """Returns another text for each sample."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda request: f"{request.prompt} {request.sample}", **options)

    @property
    def varies(self) -> bool:
        return True


def image(**options: Any) -> DescriptionType[Any]:
    return ImageDescription(ImageOptions(**options), context())


def group(**options: Any) -> DescriptionType[Any]:
    return GroupDescription(GroupOptions(size=2, **options), context())


def bank_of(
    texts: Sequence[tuple[str | None, ...]], labels: Sequence[int], **options: Any
) -> DescriptionBank:
    """Build a bank with one image-scope description `image` with `texts`."""
    ids = [f"{i}.jpg" for i in range(len(labels))]
    columns = {"image": Column(texts)}
    kinds = {"image": image(**options)}
    return DescriptionBank(ids, torch.tensor(labels), NAMES, TEMPLATE, kinds, columns)


def shared_bank(
    training: TrainingSet, kinds: Kinds, folder: Path, refused: Iterable[int] = ()
) -> tuple[DescriptionBank, ScriptedDescriber]:
    """Build a bank by asking a describer, which refuses questions about the images `refused`."""
    keys = {training.keys[index] for index in refused if index < len(training.keys)}

    def script(request: DescribeRequest) -> str:
        return "" if keys & {image.key for image in request.images} else echo(request)

    describer = ScriptedDescriber(script, max_images=4)
    plans = plan_requests(training, kinds, {"main": describer}, seed=0)
    with DescriptionStore(folder) as store:
        result = generate(describer, plans["main"], store, RecordedProgress())
    return DescriptionBank.from_plans(training, plans, {"main": result}, kinds), describer


class TestPlan:
    def test_every_prompt_and_sample_is_a_request(self) -> None:
        kinds = {"image": image(prompt=("What?", "Where?"), samples=2)}
        plans = plan_requests(training_set([0, 1]), kinds, {"main": VaryingDescriber()}, seed=0)
        plan = plans["main"]
        assert len({request.key for request in plan.requests}) == len(plan.requests) == 8
        requests = [plan.request(row) for row in plan.descriptions["image"].rows[0]]
        assert [(request.prompt, request.sample) for request in requests] == [
            ("What?", 0),
            ("What?", 1),
            ("Where?", 0),
            ("Where?", 1),
        ]
        assert {request.images[0].key for request in requests} == {"hash0"}

    def test_more_prompts_and_samples_keep_what_was_asked_before(self) -> None:
        def keys(**options: Any) -> set[str]:
            kinds = {"image": image(**options)}
            describers = {"main": VaryingDescriber()}
            plan = plan_requests(training_set([0, 1]), kinds, describers, seed=0)["main"]
            return {request.key for request in plan.requests}

        assert keys(prompt="What?") == keys(prompt=("What?",))
        assert keys(prompt="What?") < keys(prompt=("Where?", "What?"))
        assert keys(prompt="What?") < keys(prompt="What?", samples=3)

    def test_samples_of_a_describer_that_never_varies_are_refused(self) -> None:
        kinds = {"image": image(samples=2)}
        with pytest.raises(LatteError, match="`image` wants 2 samples") as caught:
            plan_requests(training_set([0]), kinds, {"main": ScriptedDescriber()}, seed=0)
        assert "temperature above 0" in str(caught.value.hint)

    def test_each_describer_has_a_plan_of_what_it_is_asked(self) -> None:
        describers = {
            "one": ScriptedDescriber(),
            "other": ScriptedDescriber(fingerprint="scripted-2", max_images=4),
            "idle": ScriptedDescriber(),
        }
        plans = plan_requests(
            training_set([0, 0, 1]), descriptions(), describers, 0, {"group": "other"}
        )
        assert {name: [*plan.descriptions] for name, plan in plans.items()} == {
            "one": ["image"],
            "other": ["group"],
        }
        assert [plan.fingerprint for plan in plans.values()] == ["scripted-1", "scripted-2"]
        assert {request.layout for request in plans["other"].requests} == {"separate"}

    def test_equal_questions_of_two_descriptions_are_asked_once(self) -> None:
        kinds = {"a": image(prompt=("What?", "Where?")), "b": image(prompt="Where?")}
        plan = plan_requests(training_set([0]), kinds, {"main": ScriptedDescriber()}, seed=0)[
            "main"
        ]
        assert len(plan.requests) == 2
        assert [*plan.descriptions["b"].rows] == [plan.descriptions["a"].rows[0][1:]]

    @given(labels_of, st.integers(1, 4), seed_of)
    def test_number_of_requests_for_groups_per_class(
        self, labels: list[int], groups_per_class: int, seed: int
    ) -> None:
        training = training_set(labels)
        kinds = {"group": group(groups_per_class=groups_per_class)}
        plan = plan_requests(training, kinds, {"main": ScriptedDescriber()}, seed)["main"]
        most = sum(min(groups_per_class, count) for count in Counter(labels).values())
        planned = plan.descriptions["group"]
        assert len(planned.rows) == most >= len(plan.requests)
        for request, class_ in plan.classes("group").items():
            assert {labels[i] for i in plan.requests[request].members} == {class_}

    def test_a_plugin_cannot_ask_for_both_oracle_groups_and_so_many_a_class(self) -> None:
        class Both(GroupDescription):
            correct_images = 1
            groups_per_class = 2

        kinds = {"both": Both(GroupOptions(), context())}
        with pytest.raises(LatteError, match="`both` has `correct_images` and `groups_per_class`"):
            plan_requests(training_set([0]), kinds, {"main": ScriptedDescriber()}, seed=0)


class TestDraws:
    @given(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=20),
        seed_of,
        st.integers(0, 50),
        st.randoms(),
    )
    def test_sampled_text_is_the_images_own_for_every_batch(
        self, images: list[tuple[int, int]], seed: int, epoch: int, random: Any
    ) -> None:
        texts = [
            tuple(f"{i}/{v}" if v < count else None for v in range(3))
            for i, (_, count) in enumerate(images)
        ]
        bank = bank_of(texts, [label for label, _ in images])
        drawn = bank.texts("image", torch.arange(len(images)), None, epoch, seed)
        for text, own_texts, (label, _) in zip(drawn, texts, images, strict=True):
            answers = [answer for answer in own_texts if answer is not None]
            assert text in (answers or [f"a photo of a {NAMES[label]}."])
        some = random.choices(range(len(images)), k=5)
        fewer = bank_of(texts, [label for label, _ in images])
        fewer.rows("image", torch.tensor(some), None, epoch + 1, seed)
        assert fewer.texts("image", torch.tensor(some), None, epoch, seed) == [
            drawn[i] for i in some
        ]

    def test_texts_are_drawn_uniformly_among_those_that_were_not_refused(self) -> None:
        bank = bank_of([("a", None, "b", "c"), ("d", None, None, None)], [0, 1])
        drawn = [bank.texts("image", torch.arange(2), None, epoch, 0) for epoch in range(1500)]
        counts = Counter(cat_text for cat_text, _ in drawn)
        assert {*counts} == {"a", "b", "c"}
        assert all(420 < count < 580 for count in counts.values())
        assert {dog_text for _, dog_text in drawn} == {"d"}

    def test_own_rows_are_all_texts_of_an_image(self) -> None:
        bank = bank_of([("a", None, "b"), ("c", None, None), (None, "a", "a")], [0, 1, 2])
        texts = [
            ["" if row == ABSENT else bank.unique_texts[row] for row in rows]
            for rows in bank.own_rows("image").tolist()
        ]
        assert texts == [["a", "b"], ["c", ""], ["a", "a"]]
        distinct = [bank.unique_texts[row] for row in bank.distinct_rows("image").tolist()]
        assert distinct == ["a", "b", "c"]


class TestSharedGroups:
    LABELS = (0, 0, 0, 0, 0, 1, 1, 2)

    def test_redrawn_groups_are_uniform_among_those_of_the_class(self, tmp_path: Path) -> None:
        """Five images share two groups as 3 and 2; each group is drawn half of the time."""
        kinds = {"group": group(groups_per_class=2, prompt="In common?")}
        bank, describer = shared_bank(training_set(self.LABELS), kinds, tmp_path)
        assert len(describer.asked) <= 2 + 2 + 1
        counts = Counter(
            bank.texts("group", torch.tensor([0]), None, epoch, 0)[0] for epoch in range(1000)
        )
        assert len(counts) == 2
        assert all(420 < count < 580 for count in counts.values())

    def test_without_redrawing_an_image_keeps_its_group(self, tmp_path: Path) -> None:
        kinds = {"group": group(groups_per_class=2, redraw=False)}
        bank, _ = shared_bank(training_set(self.LABELS), kinds, tmp_path)
        everyone = torch.arange(len(self.LABELS))
        first_texts = bank.texts("group", everyone, None, 0, 0)
        assert bank.texts("group", everyone, None, 3, 9) == first_texts
        assert {*first_texts[:5]}.isdisjoint(first_texts[5:])
        assert len({*first_texts[:5]}) == 2

    @given(
        labels_of,
        st.none() | st.integers(1, 3),
        st.integers(1, 3),
        st.booleans(),
        st.sets(st.integers(1, 29)),
    )
    def test_a_saved_bank_comes_back_the_same(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        labels: list[int],
        groups_per_class: int | None,
        prompts: int,
        redraw: bool,
        refused: set[int],
    ) -> None:
        folder = tmp_path_factory.mktemp("bank")
        questions = tuple(f"What {i}?" for i in range(prompts))
        training = training_set(labels)
        kinds = {
            "group": group(groups_per_class=groups_per_class, prompt=questions, redraw=redraw),
            "image": image(prompt=questions),
            "class": descriptions()["class"],
        }
        bank, _ = shared_bank(training, kinds, folder, refused)
        bank.save(folder / "d.jsonl")
        loaded = DescriptionBank.load(folder / "d.jsonl", NAMES, TEMPLATE, kinds)
        assert (loaded.ids, loaded.unique_texts) == (bank.ids, bank.unique_texts)
        assert torch.equal(loaded.zero_shot_labels, bank.zero_shot_labels)
        everyone, frozen = torch.arange(len(labels)), bank.zero_shot_labels
        for label in kinds:
            for epoch in range(3):
                texts = bank.texts(label, everyone, frozen, epoch, 7)
                assert loaded.texts(label, everyone, frozen, epoch, 7) == texts
        image_at = training.images.__getitem__
        assert loaded.described(0, image_at) == bank.described(0, image_at)
        loaded.save(folder / "again.jsonl")
        assert (folder / "again.jsonl").read_bytes() == (folder / "d.jsonl").read_bytes()

    def test_a_file_of_another_recipe_is_refused(self, tmp_path: Path) -> None:
        kinds = {"group": group(groups_per_class=2)}
        bank, _ = shared_bank(training_set(self.LABELS), kinds, tmp_path)
        path = tmp_path / "d.jsonl"
        bank.save(path)
        path.write_text(path.read_text().replace('"number": 0', '"number": 9'))
        with pytest.raises(LatteError, match="groups of `group` do not fit"):
            DescriptionBank.load(path, NAMES, TEMPLATE, kinds)
        path.write_text(path.read_text().replace('"number": 9', '"other": 0'))
        with pytest.raises(LatteError, match="groups of `group` do not fit"):
            DescriptionBank.load(path, NAMES, TEMPLATE, kinds)


def test_the_gallery_gets_every_text() -> None:
    bank = bank_of([("a", None, "b"), (None, None, None)], [0, 1])
    images = training_set([0, 1]).images
    assert bank.described(0, images.__getitem__) == {"image": Described("a", (), ("b",))}
    assert bank.described(1, images.__getitem__) == {"image": Described("a photo of a dog.")}
