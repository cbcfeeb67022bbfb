"""States of frozen trunks are computed once, before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latte.backbone.encode import encode_cached_images
from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError, TrainableGroup, Trunk
from latte.train.training import Training
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_engine import SETTINGS, latteclip_part, make_training, with_settings
from tests.helpers.training_runs import (
    StoppedError,
    assert_same_bits,
    count_texts_in_steps,
    outcome,
    run,
    stop_after,
)

pytestmark = pytest.mark.thorough


@pytest.fixture
def make(
    tiny_backbone: OpenClipBackbone, colour_images: Callable[..., Path], tmp_path: Path
) -> Callable[..., Training]:
    """Return a training whose states are encoded in blocks of 5 images; a step takes 4."""
    images = colour_images(per_class=4)

    def build(name: str, augment: bool = False, group: TrainableGroup = "projections") -> Training:
        settings = SETTINGS if augment else with_settings(SETTINGS, augment=None)
        training = make_training(
            tiny_backbone,
            images,
            tmp_path / name,
            RecordedProgress(),
            parts=[latteclip_part(trainable=group)],
            settings=settings,
        )

        def states(trunk: Trunk[Tensor], trained: Sequence[str]) -> Tensor:
            assert trained == [*training.learners[0].parameters]
            return encode_cached_images(
                tiny_backbone, training.images, 5, RecordedProgress(), "states", trunk=trunk
            )

        return replace(training, image_states=states)

    return build


def test_steps_with_cached_states_give_the_weights_of_whole_towers(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(replace(make("whole"), image_states=None))
    training = make("states")
    in_steps = count_texts_in_steps(monkeypatch)
    assert training.learners[0].image_tower_trains
    monkeypatch.delattr(OpenClipBackbone, "encode_images")
    run(training)
    assert in_steps == []
    for name, value in outcome(whole).items():
        torch.testing.assert_close(outcome(training)[name], value, rtol=0, atol=1e-6)


def test_fewer_steps_than_images_cache_no_states(make: Callable[..., Training]) -> None:
    training = make("few")
    settings = training.settings.model_copy(update={"max_steps": 2})
    assert 2 * settings.images_a_step < len(training.images)
    learner = run(replace(training, settings=settings)).learners[0]
    assert learner.image_tower_trains
    assert learner.image_states is None
    assert learner.text_states is None


def test_features_of_diverged_training_are_refused(make: Callable[..., Training]) -> None:
    learner = run(make("diverged")).learners[0]
    assert learner.image_states is not None
    for weight in learner.parameters.values():
        weight.data.fill_(torch.nan)
    with pytest.raises(LatteError, match="image tower gives features"):
        learner.features_of(learner.image_states.states)


def test_resume_with_cached_states_gives_identical_bits(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(make("whole"))
    stop_after(monkeypatch, 5)
    with pytest.raises(StoppedError):
        run(make("stopped"))
    monkeypatch.undo()
    assert_same_bits(outcome(whole), outcome(run(make("stopped"))))


@pytest.mark.parametrize(
    ("augment", "group"), [(True, "projections"), (False, "all"), (False, "visual_layer_norms")]
)
def test_no_states_are_cached_if_views_or_the_trunk_change(
    make: Callable[..., Training], augment: bool, group: TrainableGroup
) -> None:
    learner = run(make("run", augment=augment, group=group)).learners[0]
    assert learner.image_states is None
    assert learner.text_states is None
    assert learner.needs_pixels
