"""Anchored prototypes against their formula in loops."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from latte.components import prototypes as module
from latte.components.options import AnchoredOptions
from latte.components.prototypes import AnchoredPrototypes, anchored_prototypes
from latte.testing.fixtures import StubClip
from tests.helpers.property_inputs import QUICKLY
from tests.helpers.training_driver import CONTEXT, stream, training_start, unit_rows

SCALE = 20.0


def slow_prototypes(
    images: Tensor, texts: Tensor, scale: float, options: AnchoredOptions
) -> Tensor:
    """Formula of the docstring, computed per image and per class."""
    gap = texts.mean(dim=0) - images.mean(dim=0)
    prototypes = list(texts)
    for _ in range(options.rounds):
        shares = []
        for image in images:
            powers = [
                math.exp(scale * options.sharpness * float(image @ row)) for row in prototypes
            ]
            shares.append([power / sum(powers) for power in powers])
        for index, text in enumerate(texts):
            own = [row[index] for row in shares]
            pairs = zip(own, images, strict=True)
            centre = normalize(sum(share * (image + gap) for share, image in pairs), dim=0)
            weight = options.image_weight * sum(own) / (sum(own) + options.shrinkage)
            prototypes[index] = normalize((1 - weight) * text + weight * centre, dim=0)
    return torch.stack(prototypes)


@given(
    st.integers(1, 8),
    st.integers(1, 5),
    st.integers(1, 4),
    st.floats(0, 1),
    st.floats(0.1, 9),
    st.integers(0, 99),
)
@QUICKLY
def test_prototypes_equal_the_formula_in_loops(
    images: int, classes: int, rounds: int, weight: float, shrinkage: float, seed: int
) -> None:
    features, texts = unit_rows(images, 6, seed), unit_rows(classes, 6, seed + 1)
    options = AnchoredOptions(rounds=rounds, image_weight=weight, shrinkage=shrinkage)
    torch.testing.assert_close(
        anchored_prototypes(features, texts, SCALE, options),
        slow_prototypes(features, texts, SCALE, options),
    )


@given(st.integers(0, 99))
@QUICKLY
def test_the_order_of_images_does_not_matter_and_lengths_are_one(seed: int) -> None:
    features, texts = unit_rows(9, 6, seed), unit_rows(4, 6, seed + 1)
    found = anchored_prototypes(features, texts, SCALE, AnchoredOptions())
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    again = anchored_prototypes(features[order], texts, SCALE, AnchoredOptions())
    torch.testing.assert_close(found, again)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4, dtype=torch.float64))


def test_image_weight_zero_gives_the_texts() -> None:
    features, texts = unit_rows(9, 6, 0), unit_rows(4, 6, 1)
    found = anchored_prototypes(features, texts, SCALE, AnchoredOptions(image_weight=0))
    torch.testing.assert_close(found, texts)


def test_a_class_without_images_keeps_its_text() -> None:
    texts = torch.eye(3, dtype=torch.float64)
    images = texts[[0, 0, 1, 1]]
    options = AnchoredOptions(shrinkage=0, sharpness=1000, rounds=1)
    found = anchored_prototypes(images, texts, SCALE, options)
    torch.testing.assert_close(found[2], texts[2])
    assert not torch.allclose(found[0], texts[0])


def test_few_images_move_a_prototype_less_than_many() -> None:
    texts, images = unit_rows(2, 6, 1), unit_rows(2, 6, 2)
    cosines = []
    for copies in (1, 20):
        many = images.repeat(copies, 1)
        found = anchored_prototypes(many, texts, SCALE, AnchoredOptions(rounds=1))
        cosines.append((found * texts).sum(dim=1).mean())
    assert cosines[1] < cosines[0]


def test_blocks_do_not_change_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    features, texts = unit_rows(20, 6, 0), unit_rows(4, 6, 1)
    whole = anchored_prototypes(features, texts, SCALE, AnchoredOptions())
    monkeypatch.setattr(module, "_ROWS_PER_BLOCK", 3)
    torch.testing.assert_close(
        anchored_prototypes(features, texts, SCALE, AnchoredOptions()), whole
    )


def clusters(per_class: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, D) of 4 classes with labels (N,), and texts (4, D) that point only roughly there.

    Images lie in a cone of their own, as those of a CLIP do.
    """
    centres = unit_rows(4, 24, 3)
    labels = torch.arange(4 * per_class) % 4
    noise = unit_rows(len(labels), 24, 4) * 0.55
    cone = unit_rows(1, 24, 5)
    images = normalize(centres[labels] + noise + 1.5 * cone, dim=1)
    return images, labels, normalize(centres + 1.1 * unit_rows(4, 24, 6), dim=1)


def test_they_classify_better_than_texts_that_point_roughly_at_classes() -> None:
    images, labels, texts = clusters()
    found = anchored_prototypes(images, texts, SCALE, AnchoredOptions())
    before, after = (
        float(((images @ rows.T).argmax(dim=1) == labels).double().mean())
        for rows in (texts, found)
    )
    assert after > before + 0.05


def started(options: AnchoredOptions) -> AnchoredPrototypes:
    context = replace(CONTEXT, frozen_clip=StubClip)
    aggregator = AnchoredPrototypes(options, context)
    aggregator.start(training_start(unit_rows(4, 8, 1), unit_rows(12, 8, 2)))
    return aggregator


def test_the_component_uses_the_clips_own_logit_scale() -> None:
    scale = float(StubClip().logit_scale)
    expected = anchored_prototypes(
        unit_rows(12, 8, 2), unit_rows(4, 8, 1), scale, AnchoredOptions()
    )
    assert torch.equal(started(AnchoredOptions()).classifier().weights, expected)


def test_its_targets_are_the_labels_prototypes() -> None:
    aggregator = started(AnchoredOptions())
    weights = aggregator.classifier().weights
    supervision = aggregator.supervise(stream([3, 0]), {}, unit_rows(2, 8, 3))
    assert supervision.targets is not None
    assert supervision.classifier is not None
    assert torch.equal(supervision.targets, weights[[3, 0]])
    assert torch.equal(supervision.classifier.weights, weights)
