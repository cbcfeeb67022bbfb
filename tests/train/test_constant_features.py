"""Features of towers that do not train are cached and looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from latte.backbone.encode import encode_many_texts
from latte.interfaces import NoOptions, TrainableGroup
from latte.toolkit.module_backbone import ModuleBackbone
from latte.train.encoding import Constant
from latte.train.training import Training
from tests.helpers.method_doubles import MaskedCrossEntropy, StepTemplates
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import (
    Part,
    latteclip_part,
)
from tests.helpers.training_runs import (
    assert_resumes,
    assert_same_bits,
    count_texts_in_steps,
    metrics,
    outcome,
    run,
    run_whole_towers,
)

pytestmark = pytest.mark.thorough


@pytest.fixture
def make(make: Callable[..., Training]) -> Callable[..., Training]:
    def build(group: TrainableGroup, name: str = "run", **changes: Any) -> Training:
        return make(name, **{"parts": [latteclip_part(trainable=group)], **changes})

    return build


@pytest.mark.parametrize(
    ("group", "trains"),
    [("all", True), ("text_layer_norms", True), ("visual_layer_norms", False), ("none", False)],
)
def test_a_text_tower_is_trained_if_its_features_have_a_gradient(
    make: Callable[..., Training], group: TrainableGroup, trains: bool
) -> None:
    assert make(group).learners[0].texts.trains == trains


@pytest.mark.parametrize("group", ["visual_layer_norms", "none"])
def test_a_step_encodes_no_text_where_the_text_tower_is_frozen(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, group: TrainableGroup
) -> None:
    in_steps = count_texts_in_steps(monkeypatch)
    training = run(make(group))
    assert in_steps == []
    assert training.inputs.bank.unique_texts


def test_class_texts_are_cached_with_a_frozen_text_tower(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_steps = count_texts_in_steps(monkeypatch)
    part = Part(
        "main",
        "visual_layer_norms",
        StepTemplates(NoOptions(), CONTEXT),
        MaskedCrossEntropy(NoOptions(), CONTEXT),
    )
    training = run(make("visual_layer_norms", parts=[part], described=False))
    assert in_steps == []
    weights = training.learners[0].aggregator.classifier().weights
    torch.testing.assert_close(weights, training.start.class_features, rtol=0, atol=1e-6)


def test_cached_texts_equal_encoded_ones_up_to_rounding(
    make: Callable[..., Training],
) -> None:
    looked_up = run(make("visual_layer_norms", "looked up"))
    encoded = make("visual_layer_norms", "encoded")
    encoded.learners[0].texts.trains = True
    run_whole_towers(encoded)
    assert isinstance(looked_up.learners[0].texts, Constant)
    for name, value in outcome(encoded).items():
        torch.testing.assert_close(outcome(looked_up)[name], value, rtol=0, atol=1e-5)
    losses = [[row["loss"] for row in metrics(training)[:3]] for training in (looked_up, encoded)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_given_bank_features_are_not_encoded_again(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(make("visual_layer_norms", "plain"))
    training = make("visual_layer_norms", "kept")
    backbone, texts = training.learners[0].backbone, training.inputs.bank.unique_texts
    features = encode_many_texts(backbone, texts, RecordedProgress(), "encode")
    monkeypatch.delattr(ModuleBackbone, "encode_texts")
    assert_same_bits(
        outcome(plain), outcome(run(replace(training, bank_features=lambda: features)))
    )


def test_resume_gives_identical_bits(
    make: Callable[..., Training],
) -> None:
    assert_resumes(lambda name: make("visual_layer_norms", name), 5)
