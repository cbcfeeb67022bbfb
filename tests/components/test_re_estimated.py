"""Re-estimated prototypes against a reference written with loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from latte.components.latteclip import MARGIN_FLOOR
from latte.components.prototypes import ReEstimatedOptions, ReEstimatedPrototypes
from latte.interfaces import TrainingStart
from latte.toolkit.prototypes import shift_to_texts
from tests.helpers.property_inputs import QUICKLY
from tests.helpers.training_driver import CONTEXT, stream, unit_rows

pytestmark = pytest.mark.thorough

CLASSES = 4
WIDTH = 8
SETTLED = 500
"""Enough rounds to reach a fixed point, unless labels oscillate."""


@dataclass(frozen=True)
class World:
    """A training set: images, two texts about each, and a text about each class."""

    classes: Tensor
    images: Tensor
    image_texts: Tensor
    group_texts: Tensor
    class_texts: Tensor

    @property
    def frozen(self) -> Tensor:
        return (self.images @ self.classes.T).argmax(dim=1)

    def texts(self, labels: Tensor) -> dict[str, Tensor]:
        return {
            "class": self.class_texts[labels],
            "image": self.image_texts,
            "group": self.group_texts,
        }

    def start(self) -> TrainingStart:
        return TrainingStart(
            class_names=tuple(str(label) for label in range(len(self.classes))),
            class_features=self.classes,
            image_features=self.images,
            zero_shot_labels=self.frozen,
            description_features=lambda name: self.texts(self.frozen)[name],
            texts=self.texts,
        )


def world(seed: int, images: int = 15, noise: float = 0.8) -> World:
    """Return images and texts around classes; with much `noise`, labels change in each round."""
    classes = unit_rows(CLASSES, WIDTH, seed)
    image_prototypes = classes[torch.arange(images) % CLASSES]
    scattered = [
        normalize(image_prototypes + noise * unit_rows(images, WIDTH, seed + 1 + place), dim=1)
        for place in range(3)
    ]
    return World(classes, *scattered, class_texts=unit_rows(CLASSES, WIDTH, seed + 9))


def prototypes(start: TrainingStart, **options: Any) -> Tensor:
    aggregator = ReEstimatedPrototypes(ReEstimatedOptions(**options), CONTEXT)
    aggregator.start(start)
    return aggregator.classifier().weights


def without_texts(start: TrainingStart) -> TrainingStart:
    return replace(start, texts=lambda labels: {})


def margin_slowly(text: Tensor, weights: Tensor) -> float:
    best, second_best = sorted((float(text @ row) for row in weights), reverse=True)[:2]
    return best - second_best + MARGIN_FLOOR


def mix_slowly(texts: list[Tensor], weights: Tensor, mixer: str) -> Tensor:
    shares = [margin_slowly(text, weights) if mixer == "dynamic" else 1.0 for text in texts]
    total = sum(share * text for share, text in zip(shares, texts, strict=True))
    assert isinstance(total, Tensor)
    return total / sum(shares)


def re_estimated_slowly(sample: World, rounds: int, options: Mapping[str, Any]) -> Tensor:
    """Reference with loops over images, written from the description of the method."""
    keep, share = options["momentum"], options["image_weight"]
    shift = sample.classes.mean(dim=0) - sample.images.mean(dim=0)
    weights = sample.classes
    for _ in range(rounds):
        sums = torch.zeros_like(weights)
        for row, image in enumerate(sample.images):
            current = max(range(CLASSES), key=lambda label: float(image @ weights[label]))
            for label in (int(sample.frozen[row]), current):
                texts = [
                    sample.class_texts[label],
                    sample.image_texts[row],
                    sample.group_texts[row],
                ]
                mixed = mix_slowly(texts, weights, options["mixer"])
                taught = (1 - share) * mixed + share * (image + shift)
                sums[label] += keep * weights[label] + (1 - keep) * taught
        weights = torch.stack(
            [
                total / total.norm() if total.norm() > 0 else old
                for total, old in zip(sums, weights, strict=True)
            ]
        )
    return weights


class TestReference:
    @QUICKLY
    @given(
        seed=st.integers(0, 10_000),
        rounds=st.integers(1, 4),
        momentum=st.sampled_from([0.0, 0.3, 0.9]),
        mixer=st.sampled_from(["dynamic", "mean"]),
        image_weight=st.sampled_from([0.0, 0.4, 1.0]),
    )
    def test_prototypes_equal_the_reference_loops(
        self, seed: int, rounds: int, momentum: float, mixer: str, image_weight: float
    ) -> None:
        options = {"momentum": momentum, "mixer": mixer, "image_weight": image_weight}
        sample = world(seed)
        fitted = prototypes(sample.start(), rounds=rounds, **options)
        torch.testing.assert_close(fitted, re_estimated_slowly(sample, rounds, options))

    def test_labels_do_change_on_the_way(self) -> None:
        """Otherwise the reference would not cover both label streams."""
        changed = 0
        for seed in range(10):
            sample = world(seed)
            weights = prototypes(sample.start(), image_weight=0.0)
            changed += int(((sample.images @ weights.T).argmax(dim=1) != sample.frozen).sum())
        assert changed > 5


class TestProperties:
    @QUICKLY
    @given(
        seed=st.integers(0, 10_000),
        image_weight=st.floats(0, 1),
        momentum=st.floats(0, 1),
        images=st.integers(1, 9),
    )
    def test_prototypes_have_unit_length(
        self, seed: int, image_weight: float, momentum: float, images: int
    ) -> None:
        start = world(seed, images).start()
        weights = prototypes(start, image_weight=image_weight, momentum=momentum)
        torch.testing.assert_close(weights.norm(dim=1), torch.ones(CLASSES, dtype=weights.dtype))

    @QUICKLY
    @given(seed=st.integers(0, 10_000))
    def test_the_order_of_images_does_not_matter(self, seed: int) -> None:
        sample = world(seed)
        order = torch.randperm(len(sample.images), generator=torch.Generator().manual_seed(seed))
        shuffled = replace(
            sample,
            images=sample.images[order],
            image_texts=sample.image_texts[order],
            group_texts=sample.group_texts[order],
        )
        torch.testing.assert_close(prototypes(shuffled.start()), prototypes(sample.start()))

    @QUICKLY
    @given(seed=st.integers(0, 10_000), momentum=st.floats(0, 0.9), image_weight=st.floats(0, 1))
    def test_momentum_does_not_change_the_fixed_point(
        self, seed: int, momentum: float, image_weight: float
    ) -> None:
        """With certain labels, each prototype is the direction of its images' targets."""
        sample = replace(world(seed, noise=0.05), classes=torch.eye(CLASSES, WIDTH).double())
        image_classes = sample.classes[torch.arange(15) % CLASSES]
        sample = replace(
            sample, images=normalize(image_classes + 0.05 * unit_rows(15, WIDTH, seed), dim=1)
        )
        sample = replace(
            sample, image_texts=sample.images, group_texts=sample.images, class_texts=sample.classes
        )
        fitted = prototypes(
            sample.start(),
            rounds=SETTLED,
            mixer="mean",
            momentum=momentum,
            image_weight=image_weight,
        )
        mixed = torch.stack([*sample.texts(sample.frozen).values()]).mean(dim=0)
        taught = torch.lerp(
            mixed, sample.images + shift_to_texts(sample.images, sample.classes), image_weight
        )
        sums = torch.zeros_like(sample.classes).index_add_(0, sample.frozen, taught)
        torch.testing.assert_close(fitted, normalize(sums, dim=1), atol=2e-5, rtol=0)

    @QUICKLY
    @given(seed=st.integers(0, 10_000))
    def test_without_texts_or_images_nothing_moves(self, seed: int) -> None:
        start = without_texts(world(seed).start())
        fitted = prototypes(start, image_weight=0.0)
        torch.testing.assert_close(fitted, start.class_features, rtol=0, atol=1e-12)

    def test_class_without_labels_keeps_its_prototype(self) -> None:
        sample = world(3)
        seen = sample.frozen != 1
        sample = replace(
            sample,
            images=sample.images[seen],
            image_texts=sample.image_texts[seen],
            group_texts=sample.group_texts[seen],
        )
        fitted = prototypes(sample.start(), rounds=1)
        assert torch.equal(fitted[1], sample.classes[1])
        assert not torch.allclose(fitted[0], sample.classes[0])


class TestRounds:
    def test_rounds_stop_at_the_fixed_point(self) -> None:
        calls = 0
        sample = world(0, noise=0.1)

        def texts(labels: Tensor) -> dict[str, Tensor]:
            nonlocal calls
            calls += 1
            return sample.texts(labels)

        fitted = prototypes(replace(sample.start(), texts=texts), rounds=SETTLED)
        assert 4 < calls < SETTLED
        fitted_longer = prototypes(sample.start(), rounds=2 * SETTLED)
        assert torch.equal(fitted, fitted_longer)

    def test_each_goes_on_from_the_one_before(self) -> None:
        sample = world(0)
        distances = [
            float((prototypes(sample.start(), rounds=rounds) - sample.classes).norm())
            for rounds in (1, 2, 3)
        ]
        assert distances == sorted(distances)
        assert distances[2] > 1.2 * distances[0]


class TestImages:
    def test_they_are_moved_to_where_texts_are(self) -> None:
        sample = world(0)
        moved = sample.images + shift_to_texts(sample.images, sample.classes)
        torch.testing.assert_close(moved.mean(dim=0), sample.classes.mean(dim=0))
        torch.testing.assert_close(moved[3] - moved[5], sample.images[3] - sample.images[5])

    def test_a_gap_between_the_modalities_does_not_drown_a_class_without_images(self) -> None:
        """All images share a direction that no text has, as in CLIP."""
        classes = torch.eye(3, 5).double()
        gap = torch.tensor([0.0, 0, 0, 0, 2]).double()
        images = normalize(classes[[0, 1, 0, 1]] + gap, dim=1)
        unseen = normalize(classes[2] + gap, dim=0)
        start = TrainingStart(
            ("a", "b", "c"),
            classes,
            images,
            torch.tensor([0, 1, 0, 1]),
            lambda name: images,
        )
        fitted = prototypes(start, image_weight=0.3)
        assert int((unseen @ fitted.T).argmax()) == 2

    def test_images_alone_do_not_load_texts(self) -> None:
        start = replace(world(0).start(), texts=lambda labels: pytest.fail("texts have no weight"))
        prototypes(start, image_weight=1.0)

    def test_half_precision_images_are_followed_in_the_prototypes_precision(self) -> None:
        start = world(0).start()
        halves = replace(start, image_features=start.image_features.bfloat16())
        assert prototypes(halves).dtype == start.class_features.dtype


def test_steps_train_towards_prototypes_that_stay() -> None:
    aggregator = ReEstimatedPrototypes(ReEstimatedOptions(), CONTEXT)
    aggregator.start(world(0).start())
    weights = aggregator.classifier().weights

    supervision = aggregator.supervise(stream([2, 0]), {}, torch.empty(0))
    aggregator.update([supervision])

    assert supervision.targets is not None
    assert torch.equal(supervision.targets, weights[[2, 0]])
    assert torch.equal(aggregator.classifier().weights, weights)


@pytest.mark.parametrize("mixer", ["dynamic", "mean"])
def test_a_description_of_weight_two_counts_as_if_it_stood_twice(mixer: str) -> None:
    sample = world(3)
    twice = replace(
        sample.start(),
        texts=lambda labels: {**sample.texts(labels), "again": sample.texts(labels)["image"]},
    )
    weighted = replace(sample.start(), description_weights={"image": 2.0})
    options = {"rounds": 3, "image_weight": 0.0, "mixer": mixer}
    torch.testing.assert_close(prototypes(weighted, **options), prototypes(twice, **options))
    assert not torch.allclose(
        prototypes(weighted, **options), prototypes(sample.start(), **options)
    )
