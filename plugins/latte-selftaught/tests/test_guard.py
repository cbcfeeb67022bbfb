"""The guard takes what the images' own structure supports, and keeps zero-shot elsewhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_author.testing import GuardContract, StubClip
from latte_selftaught.agreement import LEAST_REMOVED, removed_disagreement
from latte_selftaught.guard import MIN_LEAD, EvidenceGuard, kappa
from latte_selftaught.known_names import LEAST_AGREEMENT, name_agreement
from latte_selftaught.margin import expected_margin, relative_margin
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Candidate,
    Classifier,
    Context,
    Evidence,
    NoOptions,
    Taught,
    self_taught,
)

pytestmark = pytest.mark.thorough

SCALE = 25.0
CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)


class TestEvidence(GuardContract):
    component = "evidence"


def unit(rows: int, seed: int, width: int = 32) -> Tensor:
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def problem(gap: float, noise: float, images: int = 240, classes: int = 6) -> tuple[Tensor, Tensor]:
    """Texts (C, 32), and images around points that are `gap` away from the texts."""
    texts = unit(classes, 0)
    points = normalize(texts + gap * unit(classes, 1), dim=1)[torch.arange(images) % classes]
    return texts, normalize(points + noise * unit(images, 2), dim=1)


def taught_by(images: Tensor, texts: Tensor, corrections: Tensor | None = None) -> Taught:
    nobody = torch.full((len(images),), -1)
    return self_taught(images, texts, nobody if corrections is None else corrections)


def evidence(
    texts: Tensor, images: Tensor, labels: Tensor | None = None, **changes: Any
) -> Evidence:
    taught = taught_by(images, texts)
    classifier = Classifier(taught.rows[0] / SCALE, torch.arange(len(texts)), taught.bias / SCALE)
    adapted_labels = taught.posterior.labels[:, 0] if labels is None else labels
    settings = {"trained": False} | changes
    return Evidence(
        class_names=tuple(f"class {number}" for number in range(len(texts))),
        class_features=texts,
        image_features=images,
        logit_scale=SCALE,
        candidates={"main": Candidate(images, classifier, SCALE)},
        labels=adapted_labels,
        **settings,
    )


def guard() -> EvidenceGuard:
    return EvidenceGuard(NoOptions(), CONTEXT)


def test_clear_clusters_with_fitting_names_are_taken_whole() -> None:
    verdict = guard().judge(evidence(*problem(gap=1.0, noise=0.9)))
    assert verdict.strength == 1
    assert verdict.signals["lead"] > 1.05
    assert "separate these images" in verdict.reason


def test_large_lead_says_nothing_about_the_gain() -> None:
    verdict = guard().judge(evidence(*problem(gap=1.0, noise=0.9)))
    assert verdict.signals["lead"] > 1.15
    assert verdict.outcome == "cannot tell"
    assert "better" not in verdict.reason


def test_images_without_structure_keep_zero_shot() -> None:
    assert guard().judge(evidence(unit(20, 5), unit(2000, 6))).strength == 0


def test_names_that_say_nothing_keep_zero_shot() -> None:
    """However stable the clusters are: the second name is always as near as the first."""
    texts, images = problem(gap=1.0, noise=0.3)
    doubled = normalize(texts.repeat(2, 1) + 0.05 * unit(12, 9), dim=1)
    verdict = guard().judge(evidence(doubled, images))
    assert verdict.signals["lead"] < 1.05
    assert verdict.strength == 0
    assert "unrelated names" in verdict.reason


@pytest.mark.parametrize(("answers", "strength"), [(5, 0), (6, 1), (12, 1)])
def test_classes_that_a_person_gave_decide_from_six_images_on(
    answers: int, strength: float
) -> None:
    """Names that say nothing keep zero-shot, but for a candidate that learned the classes."""
    texts, images = problem(gap=1.0, noise=0.3)
    doubled = normalize(texts.repeat(2, 1) + 0.05 * unit(12, 9), dim=1)
    rows = torch.arange(240)
    corrections = torch.where(rows < answers, rows % 6, -1)
    labels = taught_by(images, doubled, corrections).posterior.labels[:, 0]
    verdict = guard().judge(evidence(doubled, images, labels, corrections=corrections))
    assert verdict.strength == strength
    if strength:
        assert verdict.reason == f"a person named the class of {answers} images"


def test_labels_that_contradict_the_given_classes_are_rejected() -> None:
    texts, images = problem(gap=1.0, noise=0.9)
    shuffled = torch.randint(6, (240,), generator=torch.Generator().manual_seed(3))
    corrections = torch.where(torch.arange(240) < 30, torch.arange(240) % 6, -1)
    verdict = guard().judge(evidence(texts, images, shuffled, corrections=corrections))
    assert verdict.strength == 0


def test_candidate_that_fits_the_images_worse_than_zero_shot_is_rejected() -> None:
    """As training may end: labels that follow neither the texts nor the clusters."""
    texts, images = problem(gap=1.0, noise=0.9)
    shuffled = torch.randint(6, (240,), generator=torch.Generator().manual_seed(3))
    verdict = guard().judge(evidence(texts, images, shuffled, trained=True))
    assert verdict.strength == 0
    assert "no more than zero-shot CLIP's" in verdict.reason


def test_labels_on_which_similar_images_do_not_agree_more_keep_zero_shot() -> None:
    """The lead is high, but every tenth label is any class."""
    texts, images = problem(gap=1.0, noise=0.9)
    labels = (images @ texts.T).argmax(dim=1)
    labels[::10] = (labels[::10] + 1) % 6
    verdict = guard().judge(evidence(texts, images, labels))
    assert verdict.signals["lead"] > MIN_LEAD
    assert verdict.signals["removed disagreement"] < 0
    assert verdict.strength == 0
    assert "similar images agree hardly more" in verdict.reason


@pytest.mark.parametrize(("removed", "strength"), [(LEAST_REMOVED, 1), (LEAST_REMOVED - 0.01, 0)])
def test_least_removed_disagreement_is_accepted(
    removed: float, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte_selftaught.guard.removed_disagreement", lambda *labels: removed)
    verdict = guard().judge(evidence(*problem(gap=1.0, noise=0.9)))
    assert (verdict.signals["removed disagreement"], verdict.strength) == (removed, strength)


def test_candidate_that_changes_no_label_says_so() -> None:
    texts, images = problem(gap=1.0, noise=0.9)
    zero_shot = (images @ texts.T).argmax(dim=1)
    assert (
        guard().judge(evidence(texts, images, zero_shot)).reason == "adapting would change no label"
    )


@pytest.mark.parametrize(("images", "names_known"), [(240, False), (99, None)])
def test_names_that_similar_images_do_not_share_are_hardly_known(
    images: int, names_known: bool | None
) -> None:
    verdict = guard().judge(evidence(unit(12, 5, 256), unit(images, 6, 256)))
    assert verdict.names_known is names_known
    assert ("agreement of similar images" in verdict.signals) is (images >= 100)


def test_names_that_fit_clusters_are_known() -> None:
    assert guard().judge(evidence(*problem(gap=1.0, noise=0.3))).names_known


def test_many_names_that_fit_are_known_though_neighbours_have_others() -> None:
    """Among 100 images, most neighbours of an image have another of 100 names."""
    texts, images = problem(gap=0.3, noise=0.3, images=300, classes=100)
    verdict = guard().judge(evidence(texts, images))
    assert verdict.signals["agreement of similar images"] < LEAST_AGREEMENT
    assert verdict.signals["lead"] > MIN_LEAD
    assert verdict.names_known


def test_low_lead_with_names_that_similar_images_share_is_no_doubt() -> None:
    texts, images = problem(gap=1.0, noise=0.3)
    doubled = normalize(texts.repeat(2, 1) + 0.05 * unit(12, 9), dim=1)
    verdict = guard().judge(evidence(doubled, images))
    assert verdict.signals["lead"] < MIN_LEAD
    assert verdict.signals["agreement of similar images"] > LEAST_AGREEMENT
    assert verdict.names_known


def test_agreement_counts_names_beyond_chance() -> None:
    texts, images = unit(4, 1), unit(4, 1).repeat_interleave(50, 0)
    assert name_agreement(images, texts) == 1
    assert abs(name_agreement(unit(2000, 2, 512), unit(4, 3, 512))) < 0.1
    assert math.isnan(name_agreement(images, texts[:1]))
    assert math.isnan(name_agreement(images[:99], texts))


@pytest.mark.parametrize("images", [1, 7])
def test_too_few_images_keep_zero_shot(images: int) -> None:
    verdict = guard().judge(evidence(*problem(gap=0.8, noise=0.6, images=images)))
    assert verdict.strength == 0
    assert "too few" in verdict.reason


def test_removed_disagreement_is_a_share_of_what_zero_shot_leaves() -> None:
    twins = torch.eye(4, 8).repeat_interleave(20, dim=0)
    right = torch.arange(4).repeat_interleave(20)
    half_wrong = right.clone()
    half_wrong[::2] = (right[::2] + torch.arange(40) % 3 + 1) % 4
    assert removed_disagreement(twins, half_wrong, right) == pytest.approx(1)
    assert removed_disagreement(twins, half_wrong, half_wrong) == 0
    assert removed_disagreement(twins, right, right) == 0
    assert removed_disagreement(twins, half_wrong, half_wrong.where(right > 0, right)) < 1
    assert removed_disagreement(twins, torch.arange(80) % 4, half_wrong) > 0


def test_many_images_are_judged_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, images = problem(gap=1.0, noise=0.9)
    before = (images @ texts.T).argmax(dim=1)
    after = taught_by(images, texts).posterior.labels[:, 0]
    whole = removed_disagreement(images, before, after)
    monkeypatch.setattr("latte_selftaught.agreement.MOST_IMAGES", 120)
    part = removed_disagreement(images, before, after)
    assert part == removed_disagreement(images, before, after) != whole
    assert part == pytest.approx(whole, abs=0.3)


def test_kappa_is_one_for_equal_and_zero_for_unrelated_labels() -> None:
    labels = torch.arange(4000) % 4
    shuffled_labels = labels[torch.randperm(4000, generator=torch.Generator().manual_seed(0))]
    assert kappa(labels, labels, 4) == 1
    assert abs(kappa(labels, shuffled_labels, 4)) < 0.05


def test_lead_is_near_one_for_unrelated_names_and_large_for_fitting_ones() -> None:
    assert 0.8 < relative_margin(unit(500, 1, 256), unit(12, 2, 256)) < 1.25
    assert relative_margin(*reversed(problem(gap=0.3, noise=0.3))) > 2


def test_expected_margin_of_two_classes_is_the_mean_distance_of_two_normals() -> None:
    assert expected_margin(2) == pytest.approx(2 / torch.pi**0.5, rel=1e-6)
