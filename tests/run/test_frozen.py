"""A method on given features is checked and judged as in a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_author.testing import StubClip
from latte_author.testing.fixtures import separated_start
from torch import Tensor

from latte.api.runs import FrozenMethod, frozen_method
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
from latte.registry.spec import ComponentSpec
from tests.helpers.recipes import registry_with

CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)


class Nearest(PseudoLabeler[NoOptions]):
    """Labels images with their zero-shot class, and returns the class texts as the classifier."""

    needs_feature_banks = True
    rows_moved = 0
    probability = 0.9

    def start(self, start: TrainingStart) -> None:
        self._start = start

    def on_epoch_start(
        self, banks: Mapping[str, FeatureBank], aggregators: Any, epoch: int
    ) -> EpochInfo:
        rows = self._start.class_features.roll(self.rows_moved, 0)
        return EpochInfo({name: Classifier(rows, torch.arange(len(rows))) for name in banks})

    def posterior(self, learner: str) -> Posterior:
        labels = self._start.zero_shot_labels.unsqueeze(1)
        return Posterior(labels, torch.full(labels.shape, self.probability))

    def assign(self, batch: Any, image_features: Tensor, aggregator: Any) -> list[LabelStream]:
        raise AssertionError("there is no step")


class MovedRows(Nearest):
    rows_moved = 1


class Certain(Nearest):
    probability = 1.5


class Accepting(Guard[NoOptions]):
    strength = 1.0

    def judge(self, evidence: Evidence) -> Verdict:
        return Verdict(self.strength, "it accepts everything")


class Exaggerating(Accepting):
    strength = 2.0


def method(labeler: str, guard: str | None, monkeypatch: pytest.MonkeyPatch) -> FrozenMethod:
    specs = [
        *(("labeler", name) for name in ("Nearest", "MovedRows", "Certain")),
        *(("guard", name) for name in ("Accepting", "Exaggerating")),
    ]
    registry = registry_with(
        *(
            ComponentSpec(kind, name.lower(), f"{__name__}:{name}", "test")  # type: ignore[arg-type]
            for kind, name in specs
        )
    )
    monkeypatch.setattr("latte.run.frozen.load_registry", lambda: registry)
    return frozen_method({labeler: {}}, guard=guard)


def test_classifier_that_contradicts_the_posterior_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = separated_start()
    accepted = method("nearest", "accepting", monkeypatch).label(start, CONTEXT)
    assert accepted.verdict == Verdict(1.0, "it accepts everything")
    wrong = method("movedrows", "accepting", monkeypatch).label(start, CONTEXT)
    assert wrong.verdict is not None
    assert wrong.verdict.outcome == "kept zero-shot"
    assert "does not classify as the own images were labelled" in wrong.verdict.reason
    assert torch.equal(wrong.classifier.weights, start.class_features)
    assert torch.equal(wrong.labels, start.zero_shot_labels)


def test_impossible_posterior_is_an_error_that_names_the_labeler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(LatteError, match=r"^labeler certain of latte-test 1: its posterior"):
        method("certain", None, monkeypatch).label(separated_start(), CONTEXT)


def test_posterior_of_other_images_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Posterior(torch.zeros(3, 1, dtype=torch.int64), torch.ones(3, 1))
    monkeypatch.setattr(Nearest, "posterior", lambda self, learner: few)
    with pytest.raises(LatteError, match="it is about 3 and not 200 images"):
        method("nearest", None, monkeypatch).label(separated_start(), CONTEXT)


def test_impossible_verdict_is_an_error_that_names_the_guard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(LatteError, match=r"^guard exaggerating: its verdict .* strength 2\.0"):
        method("nearest", "exaggerating", monkeypatch).label(separated_start(), CONTEXT)
