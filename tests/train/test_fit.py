"""Labelers, prototypes and a guard are called in one order, and what they return is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from latte_author.testing import StubClip
from latte_author.testing.fixtures import separated_start
from torch import Tensor

from latte.interfaces import (
    Classifier,
    Context,
    EpochInfo,
    Evidence,
    FeatureBank,
    Guard,
    LabelStream,
    LatteError,
    NoOptions,
    Posterior,
    PseudoLabeler,
    TrainingStart,
    Verdict,
)
from latte.interfaces.labels import Refresh
from latte.interfaces.provider import Provider, note_provider
from latte.toolkit.prototypes import LabelerPrototypes
from latte.train.fit import Fit, Method, conflict, fit, judge, without_conflict
from tests.helpers.training_driver import CONTEXT

GUARD_CONTEXT = replace(CONTEXT, frozen_clip=StubClip)


class Noting(PseudoLabeler[NoOptions]):
    """Returns the class texts as the classifier of all learners and encoders; notes its calls."""

    def __init__(
        self, calls: list[str], refresh: Refresh = "epoch", *, needs_feature_banks: bool = True
    ) -> None:
        super().__init__(NoOptions(), CONTEXT)
        self.calls, self.refresh = calls, refresh
        self.needs_feature_banks = needs_feature_banks
        self.own_posterior: Posterior | None = None

    def start(self, start: TrainingStart) -> None:
        self.calls.append("labeler starts")
        self._start = start

    def on_epoch_start(
        self, banks: Mapping[str, FeatureBank], aggregators: Mapping[str, Any], epoch: int
    ) -> EpochInfo:
        self.calls.append(f"labeler sees {', '.join(banks) or 'nothing'} in epoch {epoch}")
        texts = self._start.class_features
        rows = dict.fromkeys(aggregators, texts)
        rows |= {name: torch.eye(len(texts)) for name in self._start.encoder_features}
        owners = torch.arange(len(texts))
        return EpochInfo({name: Classifier(texts, owners) for name, texts in rows.items()})

    def posterior(self, learner: str) -> Posterior | None:
        self.calls.append(f"posterior of {learner}")
        return self.own_posterior

    def assign(self, batch: Any, image_features: Tensor, aggregator: Any) -> list[LabelStream]:
        raise AssertionError("there is no step")


class NotingPrototypes(LabelerPrototypes):
    class_features_refresh = "step"

    def __init__(self, calls: list[str]) -> None:
        super().__init__(NoOptions(), CONTEXT)
        self.calls = calls

    def start(self, start: TrainingStart) -> None:
        self.calls.append("prototypes start")
        super().start(start)

    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        self.calls.append(f"prototypes of {learner} get {', '.join(info.classifiers)}")
        super().on_epoch_start(info, learner)

    def refresh_class_features(self, class_features: Tensor) -> None:
        self.calls.append("class texts")


class Strength(Guard[NoOptions]):
    """Returns the verdict of `strength`, and keeps the evidence."""

    def __init__(self, strength: float) -> None:
        super().__init__(NoOptions(), GUARD_CONTEXT)
        self.strength = strength

    def judge(self, evidence: Evidence) -> Verdict:
        self.seen = evidence
        return Verdict(self.strength, "it is so", signals={"images": 200.0})


def start_with_encoder() -> TrainingStart:
    start = separated_start()
    return replace(start, encoder_features={"shapes": torch.eye(4)[start.zero_shot_labels]})


def test_fit_calls_prototypes_then_labelers_then_prototypes() -> None:
    calls: list[str] = []
    aggregator = NotingPrototypes(calls)
    method = Method({"one": Noting(calls), "two": Noting(calls)}, {"main": aggregator})
    fit(method, start_with_encoder())
    assert calls == [
        *("prototypes start", "labeler starts", "labeler starts"),
        *("labeler sees main in epoch 0", "labeler sees main in epoch 0"),
        *("prototypes of main get main", "class texts"),
        *("posterior of main", "posterior of main"),
    ]


def test_later_epochs_call_labelers_that_refresh_and_encode_only_for_them() -> None:
    calls: list[str] = []
    encoded: list[str] = []
    labelers = {
        "once": Noting(calls, "never"),
        "each": Noting(calls, "epoch", needs_feature_banks=False),
    }
    method = Method(labelers, {"main": NotingPrototypes(calls)})
    start = separated_start()
    method.start(start)

    def bank(learner: str) -> FeatureBank:
        encoded.append(learner)
        return FeatureBank(start.image_features)

    for epoch in range(2):
        calls.clear()
        assert method.start_epoch(epoch, bank, start) == {}
    assert calls == ["labeler sees nothing in epoch 1", "prototypes of main get main"]
    assert encoded == ["main"]


def test_fit_has_the_classifiers_of_encoders_and_averages_all() -> None:
    start = start_with_encoder()
    fitted = fit(Method({"one": Noting([])}, {"main": NotingPrototypes([])}), start)
    assert [*fitted.classifiers] == [*fitted.features] == ["main", "shapes"]
    assert torch.equal(fitted.classifiers["main"].weights, start.class_features)
    (block,) = fitted.similarities
    texts = start.image_features @ start.class_features.T
    assert torch.allclose(block, (texts + start.encoder_features["shapes"]) / 2)
    assert torch.equal(fitted.labels, start.zero_shot_labels)


def test_labels_are_those_of_the_last_posterior() -> None:
    start, labelers = separated_start(), {name: Noting([]) for name in ("one", "two", "three")}
    rows = torch.arange(len(start.image_features)) % 4
    labelers["one"].own_posterior = Posterior(torch.zeros(200, 1).long(), torch.ones(200, 1))
    labelers["two"].own_posterior = Posterior(rows.unsqueeze(1), torch.ones(200, 1))
    fitted = fit(Method(labelers, {"main": NotingPrototypes([])}), start)
    assert torch.equal(fitted.labels, rows)


@pytest.mark.parametrize(
    ("labels", "probability", "wrong"),
    [
        (torch.full((200, 1), 4), 1.0, "a label is none of 4 classes"),
        (torch.zeros(200, 1), 1.0, "its labels are not a matrix of classes"),
        (torch.zeros(200, 1).long(), -0.5, "a probability is not between 0 and 1"),
        (torch.zeros(150, 1).long(), 1.0, "it is about 150 and not 200 images"),
    ],
)
def test_impossible_posterior_names_its_labeler(
    labels: Tensor, probability: float, wrong: str
) -> None:
    labeler = Noting([])
    note_provider(labeler, Provider("labeler mine", "latte-mine", "1.0"))
    labeler.own_posterior = Posterior(labels, torch.full(labels.shape, probability))
    with pytest.raises(LatteError) as raised:
        fit(Method({"mine": labeler}, {"main": NotingPrototypes([])}), separated_start())
    assert str(raised.value).startswith(
        f"labeler mine of latte-mine 1.0: its posterior cannot be used: {wrong}"
    )


def test_classifier_of_another_width_names_its_encoder() -> None:
    start = replace(separated_start(), encoder_features={"shapes": torch.eye(7)[:1].repeat(200, 1)})
    with pytest.raises(LatteError, match=r"for shapes, rows of the classifier .* and not 7"):
        fit(Method({"mine": Noting([])}, {"main": NotingPrototypes([])}), start)


def test_guard_sees_the_frozen_features_or_those_of_trained_learners() -> None:
    start = start_with_encoder()
    fitted = fit(Method({"one": Noting([])}, {"main": NotingPrototypes([])}), start)
    guard = Strength(0.5)
    assert judge(fitted, start, guard, "mine") == Verdict(0.5, "it is so", {"images": 200.0})
    assert guard.seen.divisible and not guard.seen.trained
    assert guard.seen.corrections is None
    assert [*guard.seen.candidates] == ["main", "shapes"]
    clip_scale = float(StubClip().logit_scale.detach())
    assert {candidate.logit_scale for candidate in guard.seen.candidates.values()} == {clip_scale}
    moved = start.image_features.roll(1, 0)
    trained = Fit({"main": fitted.classifiers["main"]}, {"main": moved})
    start_with_answers = replace(start, corrections=torch.full((200,), -1))
    with pytest.raises(LatteError, match=r"^guard mine: its verdict .* 0\.5 is neither 0 nor 1"):
        judge(trained, start_with_answers, guard, "mine", {"main": 7.0})
    assert guard.seen.trained and guard.seen.corrections is not None
    (candidate,) = guard.seen.candidates.values()
    assert candidate.logit_scale == 7.0 and candidate.image_features is moved
    assert torch.equal(guard.seen.labels, start.zero_shot_labels.roll(1, 0))


def test_conflict_of_classifier_and_posterior_keeps_zero_shot() -> None:
    start, labeler = separated_start(), Noting([])
    labels = start.zero_shot_labels.unsqueeze(1)
    labeler.own_posterior = Posterior(labels, torch.ones(labels.shape))
    fitted = fit(Method({"one": labeler}, {"main": NotingPrototypes([])}), start)
    assert conflict(fitted, start) is None
    texts = fitted.classifiers["main"].weights
    turned = {"main": Classifier(texts.roll(1, 0), torch.arange(4))}
    wrong = replace(fitted, classifiers=turned)
    reason = conflict(wrong, start)
    assert reason is not None and "0% of them" in reason and "zero-shot CLIP: 100%" in reason
    verdict = judge(wrong, start, Strength(1.0), "mine")
    assert verdict == Verdict(0.0, reason, {"images": 200.0})
    assert without_conflict(verdict, None) is verdict
    assert conflict(replace(wrong, posterior=None), start) is None


def test_fit_needs_neither_a_clip_nor_gradients_and_leaves_its_input() -> None:
    def no_clip() -> Any:
        raise AssertionError("nothing is encoded")

    start = separated_start()
    features_before = start.image_features.clone()
    context = Context(CONTEXT.base_dir, CONTEXT.cache_dir, "cpu", 0, no_clip)
    prototypes = LabelerPrototypes(NoOptions(), context)
    fitted = fit(Method({"one": Noting([])}, {"main": prototypes}), start)
    assert torch.equal(start.image_features, features_before)
    fitted.classifiers["main"].weights.zero_()
    assert torch.equal(prototypes.classifier().weights, start.class_features)
