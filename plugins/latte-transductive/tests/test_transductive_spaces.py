"""Tests of Gaussians in the feature spaces of image-only encoders, and of the encoders' weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from latte_author.testing import StubClip
from latte_transductive.encoder_weights import members, weighted_encoders
from latte_transductive.labeler import TransductiveLabeler, TransductiveOptions
from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.options import MixtureOptions
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Classifier,
    Context,
    EpochInfo,
    FeatureBank,
    LabelerPrototypes,
    NoOptions,
    TrainingStart,
)

SCALE = 10.0
LABELS = torch.arange(120) % 3
TEXTS = torch.eye(16)[:3]


def noisy(directions: Tensor, noise: float, seed: int) -> Tensor:
    """Return unit features (N, D) around the direction of each image's class."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(LABELS), directions.shape[1])
    return normalize(directions[LABELS] + noise * torch.randn(shape, generator=generator), dim=1)


IMAGES = noisy(TEXTS, 0.5, seed=0)
CLEAR = {"clear": noisy(torch.eye(12)[:3], 0.1, seed=1)}
"""An encoder that separates the classes much better than the CLIP."""
BLIND = {"blind": noisy(torch.zeros(3, 12), 1.0, seed=2)}
"""An encoder whose features are noise."""


def accuracy(mixture: Mixture) -> float:
    """Return the share of images whose most probable class is the true one."""
    return float((mixture.posteriors.argmax(dim=1) == LABELS).double().mean())


def test_encoder_that_separates_classes_better_improves_labels() -> None:
    alone = fit_mixture(IMAGES, TEXTS, SCALE, MixtureOptions())
    encoders = weighted_encoders(IMAGES, alone.posteriors.argmax(dim=1), 3, CLEAR)
    both = fit_mixture(IMAGES, TEXTS, SCALE, MixtureOptions(), encoders=encoders)
    assert accuracy(alone) < 0.9 < accuracy(both)


def test_encoder_whose_neighbours_agree_by_chance_is_left_out() -> None:
    used = weighted_encoders(IMAGES, LABELS, 3, BLIND | CLEAR)
    assert used is not None
    assert [space.name for space in used.spaces] == ["clear"]
    assert weighted_encoders(IMAGES, LABELS, 3, BLIND) is None


def test_rows_over_unit_features_reproduce_posteriors_without_neighbours() -> None:
    features = noisy(torch.eye(12)[:3] + 0.5, 0.1, seed=1)
    encoders = weighted_encoders(IMAGES, LABELS, 3, {"clear": features})
    answers = torch.full_like(LABELS, -1)
    answers[:6] = LABELS[:6]
    for corrections in (None, answers):
        mixture = fit_mixture(
            IMAGES, TEXTS, SCALE, MixtureOptions(neighbours=0), corrections, encoders=encoders
        )
        logits = IMAGES @ (SCALE * TEXTS + mixture.rows).T + mixture.bias
        logits = logits + features @ mixture.encoder_rows["clear"].T
        is_free = torch.ones_like(LABELS, dtype=torch.bool) if corrections is None else answers < 0
        torch.testing.assert_close(logits.softmax(dim=1)[is_free], mixture.posteriors[is_free])


def test_mean_of_members_is_the_mean_of_learners_with_their_encoder_parts() -> None:
    features, owners = noisy(torch.eye(12)[:3], 0.5, seed=3), torch.arange(3)
    learners = {
        name: Classifier(torch.randn(3, 16), owners, torch.randn(3)) for name in ("text", "visual")
    }
    rows = {"text": {"clear": torch.randn(3, 12)}, "visual": {}}
    together = members(learners, rows)
    parts = [together[name].similarities(IMAGES) for name in learners]
    parts.append(together["clear"].similarities(features))
    expected = [learners[name].similarities(IMAGES) for name in learners]
    expected[0] = expected[0] + features @ rows["text"]["clear"].T
    torch.testing.assert_close(torch.stack(parts).mean(0), torch.stack(expected).mean(0))


def labelled(
    features: Mapping[str, Tensor],
) -> tuple[TransductiveLabeler[TransductiveOptions], EpochInfo]:
    """Return a labeler after one epoch with these features of encoders, and its classifiers."""
    context = Context(Path(), Path(), "cpu", 0, StubClip)
    labeler = TransductiveLabeler(TransductiveOptions(other_names=0, balance=0.0), context)
    labels = (IMAGES @ TEXTS.T).argmax(dim=1)
    start = TrainingStart(
        ("a", "b", "c"), TEXTS, IMAGES, labels, lambda name: IMAGES, encoder_features=features
    )
    labeler.start(start)
    prototypes = LabelerPrototypes(NoOptions(), context)
    prototypes.start(start)
    info = labeler.on_epoch_start({"main": FeatureBank(IMAGES)}, {"main": prototypes}, 0)
    return labeler, info


def test_labeler_without_a_useful_encoder_repeats_to_the_bit() -> None:
    alone, blind = labelled({}), labelled(BLIND)
    assert [*blind[1].classifiers] == ["main"]
    classifiers = [info.classifiers["main"] for _, info in (alone, blind)]
    assert torch.equal(classifiers[0].weights, classifiers[1].weights)
    for name, tensor in alone[0].state().items():
        assert torch.equal(tensor, blind[0].state()[name])
    assert blind[0].extras()["Weight of blind beside the CLIP"] == 0


def test_mean_of_the_labelers_classifiers_gives_its_labels_of_most_images() -> None:
    labeler, info = labelled(BLIND | CLEAR)
    assert {*info.classifiers} == {"main", "clear"}
    parts = [
        info.classifiers["main"].similarities(IMAGES),
        info.classifiers["clear"].similarities(CLEAR["clear"]),
    ]
    labels = labeler.state()["labels.main"]
    same = torch.stack(parts).mean(dim=0).argmax(dim=1) == labels
    assert float(same.double().mean()) > 0.95
    assert float((labels == LABELS).double().mean()) > 0.9
    restored, _ = labelled(BLIND | CLEAR)
    restored.encoder_weights = dict.fromkeys(restored.encoder_weights, 0.0)
    restored.load_state(labeler.state())
    assert restored.extras() == labeler.extras()
