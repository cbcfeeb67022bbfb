"""Outputs of the text tower's frozen layers are computed once per text, also with random views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from latte.components.prototypes import TemplateOptions, TemplatePrototypes
from latte.describe.bank import DescriptionBank
from latte.describe.columns import Column
from latte.interfaces import ClassFeatureRefresh, NoOptions, Trainable, TrainableGroup
from latte.toolkit.descriptions import ImageDescription, ImageOptions
from latte.train import caching, encoding
from latte.train.encoding import TextsFromStates
from latte.train.loop import train
from latte.train.training import Training
from tests.helpers.method_doubles import MaskedCrossEntropy, StepTemplates
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import (
    CLASSES,
    LAST_BLOCK,
    SETTINGS,
    TEMPLATE,
    Part,
    latteclip_part,
)
from tests.helpers.training_engine import with_settings as changed
from tests.helpers.training_runs import (
    assert_close,
    assert_resumes,
    assert_same_bits,
    count_texts_in_steps,
    outcome,
    run,
    run_whole_towers,
)

pytestmark = pytest.mark.thorough

VARIANTS = 3
"""Texts about each image in trainings with several texts per image."""


@pytest.fixture
def make_last(make: Callable[..., Training]) -> Callable[..., Training]:
    """Return a function that makes trainings of the last block with random views."""

    def build(
        name: str, group: TrainableGroup | Trainable[Any] = LAST_BLOCK, **settings: Any
    ) -> Training:
        learner_parts = [latteclip_part(trainable=group)]
        return make(name, parts=learner_parts, settings=changed(SETTINGS, **settings))

    return build


def with_variants(training: Training) -> Training:
    """Return the training with several texts per image, of which an epoch reads one."""
    texts = [
        tuple(f"picture {'big ' * variant}{number}" for variant in range(VARIANTS))
        for number in range(len(training.images))
    ]
    bank = DescriptionBank(
        training.inputs.bank.ids,
        training.start.zero_shot_labels,
        CLASSES,
        TEMPLATE,
        {"image": ImageDescription(ImageOptions(), CONTEXT)},
        {"image": Column(texts)},
    )
    return replace(training, inputs=replace(training.inputs, bank=bank, descriptions=["image"]))


@pytest.mark.parametrize(
    "settings",
    [{}, {"augment": None}, {"micro_batch_size": 3}],
    ids=lambda settings: ", ".join(map(str, settings)) or "random views",
)
def test_steps_give_the_weights_of_whole_towers(
    make_last: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    whole_towers = run_whole_towers(make_last("whole", **settings))
    in_steps = count_texts_in_steps(monkeypatch)
    training = run(make_last("cached", **settings))
    assert in_steps == []
    assert_close(training, whole_towers)


def test_projections_with_random_views_read_one_row_per_text(
    make_last: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_towers = run_whole_towers(make_last("whole", "projections"))
    in_steps = count_texts_in_steps(monkeypatch)
    training = run(make_last("cached", "projections"))
    assert in_steps == []
    cached = training.learners[0].texts
    assert isinstance(cached, TextsFromStates)
    assert cached.lengths.tolist() == [1] * len(cached.states)
    assert_close(training, whole_towers)


def test_class_texts_in_every_step_give_the_weights_of_whole_towers(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(name: str) -> Training:
        aggregator = StepTemplates(NoOptions(), CONTEXT)
        loss = MaskedCrossEntropy(NoOptions(), CONTEXT)
        return make(name, parts=[Part("main", LAST_BLOCK, aggregator, loss)], described=False)

    whole_towers = run_whole_towers(build("whole"))
    in_steps = count_texts_in_steps(monkeypatch)
    training = run(build("cached"))
    assert in_steps == []
    assert_close(training, whole_towers)


def test_several_texts_per_image_give_the_weights_of_whole_towers(
    make_last: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"max_steps": VARIANTS * 4, "batch_size": 4}
    whole_towers = run_whole_towers(with_variants(make_last("whole", **settings)))
    in_steps = count_texts_in_steps(monkeypatch)
    training = run(with_variants(make_last("cached", **settings)))
    assert in_steps == []
    assert_close(training, whole_towers)


def test_texts_that_no_step_encodes_are_not_cached(
    make: Callable[..., Training], make_last: Callable[..., Training]
) -> None:
    """Class texts of other aggregators are encoded between epochs only, by the whole tower."""

    def cached_texts(training: Training) -> set[str]:
        (learner,) = run(training).learners
        assert learner.texts.trains
        return {*learner.texts.indices} if isinstance(learner.texts, TextsFromStates) else set()

    def templates(refresh: ClassFeatureRefresh) -> set[str]:
        aggregator = TemplatePrototypes(TemplateOptions(refresh=refresh), CONTEXT)
        part = Part("main", LAST_BLOCK, aggregator, MaskedCrossEntropy(NoOptions(), CONTEXT))
        return cached_texts(make(refresh, parts=[part], described=False))

    classes = {TEMPLATE.replace("{class}", name) for name in CLASSES}
    assert templates("step") == classes
    assert templates("epoch") == templates("start") == set()
    described = with_variants(make_last("described", max_steps=VARIANTS * 4))
    assert cached_texts(described) == {*described.inputs.bank.unique_texts}
    assert classes.isdisjoint(described.inputs.bank.unique_texts)


@pytest.mark.parametrize(("epochs", "cached"), [(VARIANTS, True), (VARIANTS - 1, False)])
def test_texts_that_few_epochs_do_not_read_are_not_encoded(
    make_last: Callable[..., Training], epochs: int, cached: bool
) -> None:
    training = run(with_variants(make_last("run", max_steps=epochs * 3, batch_size=5)))
    assert isinstance(training.learners[0].texts, TextsFromStates) == cached


@pytest.mark.parametrize("group", ["projections", LAST_BLOCK], ids=["projections", "last block"])
def test_resume_gives_identical_bits(
    make_last: Callable[..., Training], group: TrainableGroup | Trainable[Any]
) -> None:
    assert_resumes(lambda name: make_last(name, group), 5)


@pytest.mark.parametrize("fits", [True, False])
def test_outputs_over_the_limit_are_reported_and_not_cached(
    make_last: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    whole_towers = run_whole_towers(make_last("whole"))
    cached = run(make_last("cached")).learners[0].texts
    assert isinstance(cached, TextsFromStates)
    limit = cached.states.nbytes - (not fits)
    monkeypatch.setattr(caching, "LARGEST_STATES", limit)
    training, progress = make_last("run"), RecordedProgress()
    train(training, progress)
    assert isinstance(training.learners[0].texts, TextsFromStates) == fits
    (line,) = [line for line in progress.lines if "outputs of frozen layers" in line]
    assert line.startswith("train: outputs of frozen layers take 0 MiB for 33 texts, ")
    assert line.endswith(
        "and are computed once" if fits else "too much to cache: every step computes them"
    )
    if not fits:
        assert_same_bits(outcome(training), outcome(whole_towers))


def test_exchanged_rows_of_one_token_change_the_weights(
    make_last: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_towers = run_whole_towers(make_last("whole"))
    rows_of = encoding.rows_of

    def exchanged(starts: Tensor, lengths: Tensor) -> Tensor:
        rows = rows_of(starts, lengths)
        second_text = int(lengths[0])
        rows[[1, second_text + 1]] = rows[[second_text + 1, 1]]
        return rows

    monkeypatch.setattr(encoding, "rows_of", exchanged)
    with pytest.raises(AssertionError, match="not close"):
        assert_close(run(make_last("exchanged")), whole_towers)


def test_first_rows_of_texts_are_computed_once_per_training(
    make_last: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a million texts, computing them in every step would take 16 ms per step."""
    starts_of, calls = encoding.starts_of, []

    def counted(lengths: Tensor) -> Tensor:
        calls.append(len(lengths))
        return starts_of(lengths)

    monkeypatch.setattr(encoding, "starts_of", counted)
    cached = run(make_last("run")).learners[0].texts
    assert isinstance(cached, TextsFromStates)
    assert calls == [len(cached.lengths)]


@pytest.mark.parametrize("size", [None, 3])
def test_each_step_reads_its_distinct_texts_once(
    make_last: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    text_batches: list[Sequence[str]] = []
    look_up = TextsFromStates.encode

    def counted(self: TextsFromStates, texts: Sequence[str]) -> Tensor:
        text_batches.append(texts)
        return look_up(self, texts)

    monkeypatch.setattr(TextsFromStates, "encode", counted)
    run(make_last("run", max_steps=4, micro_batch_size=size))
    assert text_batches
    assert all(len({*texts}) == len(texts) for texts in text_batches)
    assert size is None or max(map(len, text_batches)) == size
