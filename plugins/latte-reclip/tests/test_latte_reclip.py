"""The components keep latte's contracts, and do what ReCLIP says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latte_author.testing import LossContract, PseudoLabelerContract, StubClip
from latte_reclip.reclip import (
    LabelPropagationLabeler,
    LabelPropagationOptions,
    MaskedCrossEntropy,
    MaskedCrossEntropyOptions,
    class_centroids,
)
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
    LatteError,
    NoOptions,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
)


class TestLabelPropagation(PseudoLabelerContract):
    component = "label-propagation"


class TestOwnLabels(PseudoLabelerContract):
    component = "label-propagation"
    options: ClassVar[dict[str, Any]] = {"agreement": False, "projection": False, "neighbours": 3}


class TestMaskedCrossEntropy(LossContract):
    component = "masked-cross-entropy"


class TestPublishedNormalization(LossContract):
    component = "masked-cross-entropy"
    options: ClassVar[dict[str, Any]] = {"normalization": "published", "logit_scale": None}


CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)
TEXTS = torch.eye(3, 8)


class AdaptedTexts(PrototypeAggregator[NoOptions]):
    """Prototypes that say they are re-encoded, and have the rows that a test gives them."""

    class_features_refresh = "step"
    rows: Tensor = TEXTS

    def start(self, start: TrainingStart) -> None:
        """Nothing to learn."""

    def classifier(self) -> Classifier:
        return Classifier(self.rows, torch.arange(len(self.rows)) % 3)

    def supervise(self, *arguments: Any) -> Supervision:
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, state: Any) -> None:
        """Nothing to restore."""


def training_start(images: Tensor) -> TrainingStart:
    labels = (images @ TEXTS.T).argmax(dim=1)
    return TrainingStart(("a", "b", "c"), TEXTS, images, labels, lambda name: images)


def near(labels: list[int], seed: int = 0) -> Tensor:
    """Images (N, 8) close to the texts of `labels`."""
    noise = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(seed))
    return normalize(TEXTS[torch.tensor(labels)] + 0.05 * noise, dim=1)


def labelled(
    banks: dict[str, Tensor], adapted: Tensor | None = None, **options: Any
) -> tuple[LabelPropagationLabeler, EpochInfo]:
    """A labeler after one round; the learner `text` adapts its texts, others have centroids."""
    settings = {"neighbours": 3, "projection": False, **options}
    labeler = LabelPropagationLabeler(LabelPropagationOptions(**settings), CONTEXT)
    start = training_start(next(iter(banks.values())))
    labeler.start(start)
    aggregators: dict[str, PrototypeAggregator[Any]] = {}
    for name in banks:
        kind = AdaptedTexts if name == "text" else LabelerPrototypes
        aggregators[name] = kind(NoOptions(), CONTEXT)
        aggregators[name].start(start)
    if adapted is not None:
        aggregators["text"].rows = adapted  # type: ignore[attr-defined]
    features = {name: FeatureBank(rows) for name, rows in banks.items()}
    return labeler, labeler.on_epoch_start(features, aggregators, 0)


def stream(labeler: LabelPropagationLabeler, learner: str, count: int) -> LabelStream:
    batch = Batch(learner, torch.arange(count), 0, 0)
    aggregator = LabelerPrototypes(NoOptions(), CONTEXT)
    (only,) = labeler.assign(batch, torch.zeros(count, 8), aggregator)
    return only


MOST = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
OTHER = [1, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 0]


def test_only_what_all_learners_agree_on_counts() -> None:
    labeler, _ = labelled({"text": near(MOST), "visual": near(OTHER, seed=1)})
    text, visual = (stream(labeler, name, 12) for name in ("text", "visual"))
    assert text.labels.tolist() == MOST
    assert visual.labels.tolist() == OTHER
    assert text.weights.tolist() == [0.0, *[1.0] * 10, 0.0]
    assert torch.equal(text.weights, visual.weights)


def test_without_agreement_each_learner_trusts_itself() -> None:
    banks = {"text": near(MOST), "visual": near(OTHER, seed=1)}
    labeler, _ = labelled(banks, agreement=False)
    assert stream(labeler, "visual", 12).labels.tolist() == OTHER
    assert stream(labeler, "visual", 12).weights.tolist() == [1.0] * 12


def test_adapted_texts_are_text_nodes_and_centroids_are_not() -> None:
    swapped = TEXTS[[1, 0, 2]]
    labeler, _ = labelled({"text": near(MOST), "visual": near(MOST)}, adapted=swapped)
    assert stream(labeler, "text", 12).labels.tolist() == [1] * 4 + [0] * 4 + [2] * 4
    assert stream(labeler, "visual", 12).labels.tolist() == MOST


def test_several_prototypes_a_class_are_refused() -> None:
    with pytest.raises(LatteError, match="learner 'text' have 6 for 3 classes"):
        labelled({"text": near(MOST)}, adapted=torch.cat([TEXTS, TEXTS]))


def test_an_image_that_no_class_reaches_does_not_count() -> None:
    """Four images far from everything are each other's three nearest neighbours."""
    far = normalize(torch.eye(1, 8).roll(7, 1) + 0.01 * torch.eye(4, 8), dim=1)
    labeler, info = labelled({"visual": torch.cat([near(MOST), far])})
    assert stream(labeler, "visual", 16).weights.tolist() == [1.0] * 12 + [0.0] * 4
    assert torch.equal(
        info.classifiers["visual"].weights,
        labelled({"visual": near(MOST)})[1].classifiers["visual"].weights,
    )


def test_texts_that_reach_nothing_are_an_error() -> None:
    """Each text's two nearest neighbours are the other two texts."""
    distant_images = normalize(
        torch.eye(8)[7] - 0.1 * TEXTS.sum(dim=0) + 0.1 * torch.eye(8)[3:7], dim=1
    )
    with pytest.raises(LatteError, match="reaches none of the 4 images") as error:
        labelled({"visual": distant_images}, neighbours=2)
    assert "raise `neighbours`" in str(error.value)


def test_centroids_are_means_of_the_unprojected_nodes() -> None:
    images = near(MOST)
    _, info = labelled({"visual": images})
    expected = normalize(torch.stack([TEXTS[0], *images[:4]]).mean(dim=0), dim=0)
    assert torch.allclose(info.classifiers["visual"].weights[0], expected, atol=1e-6)


def test_a_class_without_a_node_keeps_its_text() -> None:
    nodes, labels = near([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1])
    counted = torch.tensor([True, True, True, False])
    centroids = class_centroids(nodes, labels, counted, TEXTS)
    assert torch.equal(centroids[2], TEXTS[2])
    assert torch.allclose(centroids[1], nodes[2], atol=1e-6)


def test_labels_come_back_from_a_checkpoint() -> None:
    labeler, _ = labelled({"text": near(MOST), "visual": near(OTHER, seed=1)})
    resumed_labeler = LabelPropagationLabeler(labeler.options, CONTEXT)
    resumed_labeler.start(training_start(near(MOST)))
    resumed_labeler.load_state(labeler.state())
    for name in ("text", "visual"):
        label_stream, resumed_stream = stream(labeler, name, 12), stream(resumed_labeler, name, 12)
        assert torch.equal(label_stream.labels, resumed_stream.labels)
        assert torch.equal(label_stream.weights, resumed_stream.weights)


def test_centroid_prototypes_are_zero_shot_until_a_round_brings_more() -> None:
    prototypes = LabelerPrototypes(NoOptions(), CONTEXT)
    prototypes.start(training_start(near(MOST)))
    assert torch.equal(prototypes.classifier().weights, TEXTS)
    prototypes.on_epoch_start(
        EpochInfo({"visual": Classifier(TEXTS.roll(1, 0), torch.arange(3))}), "visual"
    )
    of_all = LabelStream("s", torch.zeros(2, dtype=torch.int64), torch.ones(2))
    taught = prototypes.supervise(of_all, {}, torch.zeros(2, 8))
    assert taught.classifier is not None
    assert torch.equal(taught.classifier.weights, TEXTS.roll(1, 0))
    assert not taught.classifier.weights.requires_grad


def loss_of(images: Tensor, labels: list[int], weights: list[float], **options: Any) -> Tensor:
    loss = MaskedCrossEntropy(MaskedCrossEntropyOptions(**options), CONTEXT)
    of_batch = LabelStream("s", torch.tensor(labels), torch.tensor(weights))
    supervision = Supervision(of_batch, classifier=Classifier(TEXTS, torch.arange(3)))
    return loss(images, supervision, torch.tensor(7.0))


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1, width=16)), min_size=1, max_size=6))
def test_the_loss_is_a_weighted_mean_of_cross_entropies(rows: list[tuple[int, float]]) -> None:
    labels, weights = [row[0] for row in rows], [row[1] for row in rows]
    images = near([0] * len(rows), seed=3)
    log_shares = (7.0 * images @ TEXTS.T).log_softmax(dim=1)
    terms = [-log_shares[index, label] * weight for index, (label, weight) in enumerate(rows)]
    expected = torch.stack(terms).sum() / max(sum(weights), 1e-30)
    value = loss_of(images, labels, weights, logit_scale=None)
    assert torch.allclose(value, expected, atol=1e-5)
    published = loss_of(images, labels, weights, logit_scale=None, normalization="published")
    assert torch.allclose(published, expected / len(rows), atol=1e-5)


def test_the_scale_is_100_unless_it_is_learned() -> None:
    images = near([0, 1])
    assert torch.equal(
        loss_of(images, [1, 1], [1, 1]), loss_of(images, [1, 1], [1, 1], logit_scale=100)
    )
    assert not torch.equal(
        loss_of(images, [1, 1], [1, 1]), loss_of(images, [1, 1], [1, 1], logit_scale=None)
    )
