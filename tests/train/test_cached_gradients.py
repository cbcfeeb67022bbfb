"""Micro-batches give the gradients of the whole batch with less memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import NoOptions
from latte.train.gradcache import RandomState
from latte.train.training import Training
from tests.helpers.clip_models import DROPOUT, build_clip
from tests.helpers.gradients import assert_same_gradients, gradients, peak_of_saved_tensors
from tests.helpers.method_doubles import MaskedCrossEntropy, StepTemplates
from tests.helpers.recorded import RecordedProgress
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import (
    SETTINGS,
    Part,
    latteclip_part,
    make_training,
    with_settings,
)
from tests.helpers.training_runs import assert_same_bits, metrics, outcome, run

pytestmark = pytest.mark.thorough

ONE_STEP = with_settings(SETTINGS, batch_size=15, max_steps=1)


@pytest.fixture
def make(
    tiny_backbone: OpenClipBackbone,
    colour_images: Callable[..., Path],
    tmp_path: Path,
    silent_progress: RecordedProgress,
) -> Callable[..., Training]:
    images = colour_images(per_class=5)
    runs = iter(range(9))

    def build(size: int | None, backbone: Any = tiny_backbone, **changes: Any) -> Training:
        settings = with_settings(changes.pop("settings", ONE_STEP), micro_batch_size=size)
        folder = tmp_path / f"run-{next(runs)}"
        return make_training(
            backbone, images, folder, silent_progress, settings=settings, **changes
        )

    return build


def class_texts_in_every_step() -> Part:
    prototypes = StepTemplates(NoOptions(), CONTEXT)
    return Part("main", "all", prototypes, MaskedCrossEntropy(NoOptions(), CONTEXT))


@pytest.mark.parametrize("size", [1, 4, 15, 64])
@pytest.mark.parametrize("part", [latteclip_part, class_texts_in_every_step])
def test_micro_batches_give_gradients_labels_and_prototypes_of_the_batch(
    make: Callable[..., Training], size: int, part: Callable[[], Part]
) -> None:
    whole_batch, micro_batches = run(make(None, parts=[part()])), run(make(size, parts=[part()]))
    assert_same_gradients(micro_batches, whole_batch)
    micro_row, whole_row = metrics(micro_batches)[0], metrics(whole_batch)[0]
    assert micro_row["agreement"] == whole_row["agreement"]
    assert micro_row["loss"] == pytest.approx(whole_row["loss"], rel=1e-6, abs=1e-6)
    weights = [
        training.learners[0].aggregator.classifier().weights
        for training in (micro_batches, whole_batch)
    ]
    torch.testing.assert_close(*weights, rtol=0, atol=1e-6)


def test_micro_batch_size_limits_images_and_texts_per_pass(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[str, list[int]] = {"images": [], "texts": []}
    images, texts = OpenClipBackbone.encode_images, OpenClipBackbone.encode_texts

    def encode_images(self: OpenClipBackbone, pixels: Tensor) -> Tensor:
        sizes["images"].append(len(pixels))
        return images(self, pixels)

    def encode_texts(self: OpenClipBackbone, sentences: Sequence[str]) -> Tensor:
        sizes["texts"].append(len(sentences))
        return texts(self, sentences)

    training = make(4)
    monkeypatch.setattr(OpenClipBackbone, "encode_images", encode_images)
    monkeypatch.setattr(OpenClipBackbone, "encode_texts", encode_texts)
    run(training)
    assert sizes["images"] == [4, 4, 4, 3] * 2
    half = len(sizes["texts"]) // 2
    assert max(sizes["texts"]) == 4
    assert sizes["texts"][:half] == sizes["texts"][half:]


def test_autograd_stores_one_micro_batch_at_a_time(make: Callable[..., Training]) -> None:
    whole_peak = peak_of_saved_tensors(make(None))
    assert peak_of_saved_tensors(make(3)) < whole_peak / 3


@pytest.mark.parametrize("augmented", [True, False])
def test_both_passes_have_the_same_dropout(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, augmented: bool
) -> None:
    settings = ONE_STEP if augmented else with_settings(ONE_STEP, augment=None)
    backbone = build_clip(DROPOUT)
    whole_batch, micro_batches = (
        run(make(size, backbone, settings=settings)) for size in (None, 15)
    )
    assert_same_gradients(micro_batches, whole_batch, tolerance=1e-5)
    monkeypatch.setattr(RandomState, "again", lambda self: torch.random.fork_rng())
    other_dropout = run(make(15, backbone, settings=settings))
    with pytest.raises(AssertionError):
        assert_same_gradients(other_dropout, whole_batch, tolerance=1e-5)


def test_random_state_is_restored_after_a_replay() -> None:
    torch.manual_seed(3)
    state = RandomState(torch.device("cpu"))
    first_numbers = torch.rand(2)
    with state.again():
        assert torch.equal(torch.rand(2), first_numbers)
    numbers_after = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(4), torch.cat([first_numbers, numbers_after]))


def test_frozen_tower_runs_once_per_micro_batch(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    original = OpenClipBackbone.encode_images

    def counted(self: OpenClipBackbone, pixels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return original(self, pixels)

    training = make(5, parts=[latteclip_part(trainable="text_layer_norms")])
    assert not training.learners[0].images.trains
    monkeypatch.setattr(OpenClipBackbone, "encode_images", counted)
    run(training)
    assert calls == 3
    assert gradients(training)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_micro_batches_in_half_precision(make: Callable[..., Training], precision: str) -> None:
    settings = with_settings(SETTINGS, precision=precision, batch_size=6)
    trainings = [run(make(4, settings=settings)) for _ in range(2)]
    assert_same_bits(outcome(trainings[0]), outcome(trainings[1]))
    whole_row = metrics(run(make(None, settings=settings)))
    assert metrics(trainings[0])[0]["loss"] == pytest.approx(whole_row[0]["loss"], rel=1e-2)
