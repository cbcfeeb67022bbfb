"""The components keep latte's contracts, and hand on what the mixture says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from latte_author.testing import PseudoLabelerContract, StubClip
from latte_transductive.labeler import TransductiveLabeler, TransductiveOptions
from latte_transductive.mixture import fit_mixture
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Batch,
    Classifier,
    Context,
    EpochInfo,
    FeatureBank,
    LabelerPrototypes,
    LabelStream,
    NoOptions,
    PrototypeAggregator,
    TrainingStart,
)


class TestTransductive(PseudoLabelerContract):
    component = "transductive"


class TestTransductiveOfCurrentPrototypes(PseudoLabelerContract):
    component = "transductive"
    options: ClassVar[dict[str, Any]] = {"prior": "current", "confidence": True, "debias": 0.5}


CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)
TEXTS = torch.eye(3, 8)
LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


class GivenPrototypes(LabelerPrototypes):
    """Prototypes whose rows and owners a test sets."""

    rows: Tensor = TEXTS
    owners: Tensor = torch.arange(3)

    def classifier(self) -> Classifier:
        return Classifier(self.rows, self.owners)


def near(labels: list[int], seed: int = 0, noise: float = 0.05) -> Tensor:
    """Images (N, 8) close to the texts of `labels`."""
    random = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(seed))
    return normalize(TEXTS[torch.tensor(labels)] + noise * random, dim=1)


def begun(
    banks: dict[str, Tensor],
    prototypes: PrototypeAggregator[Any] | None = None,
    frozen: Tensor | None = None,
    **options: Any,
) -> tuple[TransductiveLabeler[Any], EpochInfo]:
    """A labeler after one round with these features of each learner; a single mixture."""
    alone = {"other_names": 0, "balance": 0.0}
    labeler = TransductiveLabeler(TransductiveOptions(**(alone | options)), CONTEXT)
    images = next(iter(banks.values())) if frozen is None else frozen
    zero_shot = (images @ TEXTS.T).argmax(dim=1)
    labeler.start(TrainingStart(("a", "b", "c"), TEXTS, images, zero_shot, lambda name: images))
    features = {name: FeatureBank(rows) for name, rows in banks.items()}
    aggregator = prototypes or GivenPrototypes(NoOptions(), CONTEXT)
    return labeler, labeler.on_epoch_start(features, dict.fromkeys(banks, aggregator), 0)


def streams(labeler: TransductiveLabeler[Any], learner: str, rows: list[int]) -> list[LabelStream]:
    batch = Batch(learner, torch.tensor(rows), 0, 0)
    prototypes = GivenPrototypes(NoOptions(), CONTEXT)
    return labeler.assign(batch, torch.zeros(len(rows), 8), prototypes)


def labels(labeler: TransductiveLabeler[Any], learner: str = "main", count: int = 12) -> list[int]:
    (only,) = streams(labeler, learner, [*range(count)])
    image_labels: list[int] = only.labels.tolist()
    return image_labels


def test_each_learner_has_labels_of_its_own() -> None:
    turned = LABELS[4:] + LABELS[:4]
    labeler, info = begun({"one": near(LABELS), "other": near(turned)})
    assert labels(labeler, "one") == LABELS
    assert labels(labeler, "other") == turned
    assert {*info.classifiers} == {"one", "other"}


def test_an_image_goes_with_its_cluster_against_its_text() -> None:
    """By texts alone the last image would be of class 0, if only just."""
    straggler = normalize(torch.tensor([[1.02, 1.0, 0, 0, 0, 0, 0, 0]]), dim=1)
    away = normalize(near([1] * 8, seed=3) + 0.9 * TEXTS[0], dim=1)
    images = torch.cat([near([0] * 8), away, straggler])
    assert (straggler @ TEXTS.T).argmax() == 0
    assert labels(begun({"main": images})[0], count=17)[16] == 1


def test_the_prior_may_be_the_prototypes_of_now() -> None:
    prototypes = GivenPrototypes(NoOptions(), CONTEXT)
    prototypes.rows = TEXTS[[1, 0, 2]]
    images = {"main": near(LABELS)}
    assert labels(begun(images, prototypes)[0]) == LABELS
    swapped = [1] * 4 + [0] * 4 + [2] * 4
    assert labels(begun(images, prototypes, prior="current")[0]) == swapped


def test_several_prototypes_a_class_are_a_prior_too() -> None:
    """The nearest one counts for the labels, the middle for unseen images."""
    several = GivenPrototypes(NoOptions(), CONTEXT)
    several.rows = torch.cat([TEXTS, torch.eye(8)[3:6]])
    several.owners = torch.tensor([0, 1, 2, 0, 1, 2])
    images = near(LABELS)
    images[3] = torch.eye(8)[3]
    labeler, info = begun({"main": images}, several, prior="current")
    assert labels(labeler) == LABELS
    row = info.classifiers["main"].weights[0]
    assert row[0] > row[1]
    assert row[3] > row[4]


@pytest.mark.parametrize("scale", [5.0, 25.0])
def test_the_temperature_is_the_frozen_clips_own(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StubClip, "logit_scale", torch.tensor(scale))
    images = near(LABELS, noise=0.7)
    mixture = fit_mixture(images, TEXTS, scale, TransductiveOptions())
    expected = (scale * images @ TEXTS.T + images @ mixture.rows.T + mixture.bias).softmax(dim=1)
    labeler, info = begun({"main": images}, confidence=True)
    (only,) = streams(labeler, "main", [*range(12)])
    assert torch.allclose(only.weights, expected.amax(dim=1), atol=1e-6)
    probabilities = (scale * info.classifiers["main"].similarities(images)).softmax(dim=1)
    assert torch.allclose(probabilities, expected, atol=1e-5)


def test_weights_are_one_or_the_probability() -> None:
    images = {"main": torch.cat([near(LABELS), normalize(torch.ones(1, 8), dim=1)])}
    (even,) = streams(begun(images)[0], "main", [0, 12])
    (sure,) = streams(begun(images, confidence=True)[0], "main", [0, 12])
    assert even.weights.tolist() == [1.0, 1.0]
    assert sure.weights[0] > 0.99
    assert 1 / 3 <= sure.weights[1] <= 1


def test_a_batch_gets_the_labels_of_its_rows() -> None:
    labeler, _ = begun({"main": near(LABELS)}, weight=0.5)
    (only,) = streams(labeler, "main", [11, 0, 5])
    assert only.name == "transductive"
    assert only.labels.tolist() == [2, 0, 1]
    assert only.scale == 0.5


def test_a_weight_of_zero_is_no_stream() -> None:
    assert streams(begun({"main": near(LABELS)}, weight=0.0)[0], "main", [0]) == []


def test_labels_come_back_from_a_checkpoint() -> None:
    labeler, _ = begun({"main": near(LABELS)}, confidence=True)
    restored, _ = begun({"main": near(LABELS[::-1])}, confidence=True)
    assert labels(restored) != LABELS
    restored.load_state(labeler.state())
    (one,), (other,) = (streams(each, "main", [*range(12)]) for each in (labeler, restored))
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.weights, other.weights)


def test_mixture_prototypes_are_zero_shot_until_a_round_brings_more() -> None:
    prototypes = LabelerPrototypes(NoOptions(), CONTEXT)
    images = near(LABELS)
    zero_shot = torch.zeros(12, dtype=torch.int64)
    prototypes.start(TrainingStart(("a", "b", "c"), TEXTS, images, zero_shot, lambda name: images))
    assert torch.equal(prototypes.classifier().weights, TEXTS)
    moved = Classifier(TEXTS.roll(1, 0), torch.arange(len(TEXTS)))
    prototypes.on_epoch_start(EpochInfo({"other": moved}), "main")
    assert torch.equal(prototypes.classifier().weights, TEXTS)
    prototypes.on_epoch_start(EpochInfo({"main": moved}), "main")
    stream = LabelStream("s", torch.tensor([2, 0]), torch.ones(2))
    taught = prototypes.supervise(stream, {}, images[:2])
    assert taught.targets is not None
    assert taught.classifier is not None
    assert torch.equal(taught.classifier.weights, TEXTS.roll(1, 0))
    assert torch.equal(taught.targets, TEXTS.roll(1, 0)[[2, 0]])
    assert not taught.targets.requires_grad
