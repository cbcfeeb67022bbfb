"""States of frozen trunks are computed once, before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.backbone.encode import encode_cached_images
from latte.backbone.open_clip import OpenClipBackbone
from latte.data.batches import evaluation_batches
from latte.interfaces import LatteError, Trainable, TrainableGroup, Trunk
from latte.interfaces.settings import AugmentSettings
from latte.train import caching, encoding, loop
from latte.train.encoding import ImagesFromStates, Live, StepImages, TextsFromStates
from latte.train.loop import train
from latte.train.training import Training
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_engine import (
    LAST_BLOCK,
    SETTINGS,
    latteclip_part,
    make_training,
    with_settings,
)
from tests.helpers.training_runs import (
    assert_close,
    assert_resumes,
    count_texts_in_steps,
    run,
    run_whole_towers,
)

pytestmark = pytest.mark.thorough


@pytest.fixture
def make(
    tiny_backbone: OpenClipBackbone, colour_images: Callable[..., Path], tmp_path: Path
) -> Callable[..., Training]:
    """Return a training whose states are encoded in blocks of 5 images; a step takes 4."""
    images = colour_images(per_class=4)

    def build(
        name: str,
        group: TrainableGroup | Trainable[Any] = "projections",
        **changes: Any,
    ) -> Training:
        training = make_training(
            tiny_backbone,
            images,
            tmp_path / name,
            RecordedProgress(),
            parts=[latteclip_part(trainable=group)],
            settings=with_settings(SETTINGS, **{"augment": None, **changes}),
        )

        def states(trunk: Trunk, trained: Sequence[str]) -> Tensor:
            assert trained == [*training.learners[0].parameters]
            return encode_cached_images(
                tiny_backbone, training.images, 5, RecordedProgress(), "states", trunk=trunk
            )

        return replace(training, image_states=states)

    return build


def test_steps_with_cached_states_give_the_weights_of_whole_towers(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_towers = run_whole_towers(make("whole"))
    training = make("states")
    in_steps = count_texts_in_steps(monkeypatch)
    assert training.learners[0].images.trains
    monkeypatch.delattr(OpenClipBackbone, "encode_images")
    run(training)
    assert in_steps == []
    assert_close(training, whole_towers)


@pytest.mark.parametrize("size", [None, 3])
def test_steps_of_last_blocks_give_the_weights_of_whole_towers(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    whole_towers = run_whole_towers(make("whole", LAST_BLOCK, micro_batch_size=size))
    training = make("states", LAST_BLOCK, micro_batch_size=size)
    assert training.learners[0].images.trains
    monkeypatch.delattr(OpenClipBackbone, "encode_images")
    image_counts = images_of_passes(monkeypatch)
    run(training)
    assert {*image_counts} == ({4} if size is None else {3, 1})
    assert_close(training, whole_towers)


def images_of_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of images of each look-up of states from now on."""
    image_counts: list[int] = []
    look_up = ImagesFromStates.encode

    def counted(self: ImagesFromStates, images: StepImages) -> Tensor:
        image_counts.append(len(images))
        return look_up(self, images)

    monkeypatch.setattr(ImagesFromStates, "encode", counted)
    return image_counts


@pytest.mark.parametrize("fits", [True, False])
def test_too_large_states_are_reported_and_not_cached(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    bytes_of_states = 12 * 5 * 32 * 4  # images; the texts take more
    monkeypatch.setattr(caching, "LARGEST_STATES", bytes_of_states - (not fits))
    training, progress = make("run", LAST_BLOCK), RecordedProgress()
    train(training, progress)
    assert isinstance(training.learners[0].images, ImagesFromStates) == fits
    (line,) = [line for line in progress.lines if "for 12 images" in line]
    assert ("too much to cache" in line) != fits


def test_features_of_many_images_are_computed_in_parts(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = run(make("run", LAST_BLOCK)).learners[0].images
    assert isinstance(cached, ImagesFromStates)
    expected, plain = cached.all_features(), cached.trunk
    monkeypatch.setattr(encoding, "rows_per_block", lambda width: 5)
    block_sizes = []

    def features(states: Tensor) -> Tensor:
        block_sizes.append(len(states))
        return plain.features(states)

    cached.trunk = replace(plain, features=features)
    all_features = cached.all_features()
    assert block_sizes == [5, 5, 2]
    cached.all_features(8)
    assert block_sizes[3:] == [8, 4]
    torch.testing.assert_close(all_features, expected, rtol=0, atol=1e-6)


def test_fewer_steps_than_images_cache_no_states(make: Callable[..., Training]) -> None:
    training = make("few", max_steps=2)
    assert 2 * training.settings.batch_size < len(training.images)
    learner = run(training).learners[0]
    assert learner.images.trains
    assert isinstance(learner.images, Live)
    assert isinstance(learner.texts, Live)


def test_features_of_diverged_training_are_refused(make: Callable[..., Training]) -> None:
    learner = run(make("diverged")).learners[0]
    assert isinstance(learner.images, ImagesFromStates)
    for weight in learner.parameters.values():
        weight.data.fill_(torch.nan)
    with pytest.raises(LatteError, match="image tower gives features"):
        learner.images.all_features()


@pytest.mark.parametrize("group", ["projections", LAST_BLOCK], ids=["projections", "last block"])
def test_resume_with_cached_states_gives_identical_bits(
    make: Callable[..., Training], group: TrainableGroup | Trainable[Any]
) -> None:
    assert_resumes(lambda name: make(name, group), 5)


@pytest.mark.parametrize(
    ("augment", "group"),
    [(SETTINGS.augment, "projections"), (None, "all"), (None, "visual_layer_norms")],
)
def test_no_states_are_cached_if_views_or_the_trunk_change(
    make: Callable[..., Training], augment: AugmentSettings | None, group: TrainableGroup
) -> None:
    learner = run(make("run", group, augment=augment)).learners[0]
    assert isinstance(learner.images, Live)
    assert isinstance(learner.texts, TextsFromStates) == (group == "projections")
    assert learner.images.needs_pixels


def test_labelers_see_the_features_of_cached_states(
    make: Callable[..., Training],
) -> None:
    training = run(make("states"))
    learner = training.learners[0]
    assert isinstance(learner.images, ImagesFromStates)
    bank = loop._feature_bank(training, learner, RecordedProgress()).features
    batches = evaluation_batches(training.images, learner.backbone.pixel_format, 8)
    with torch.no_grad():
        expected = torch.cat([learner.backbone.encode_images(pixels) for _, pixels in batches])
    torch.testing.assert_close(bank, expected, rtol=0, atol=1e-6)
