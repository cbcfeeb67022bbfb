"""The loop trains learners of every method, and resumes with identical bits after any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import (
    Batch,
    Context,
    LabelStream,
    NoOptions,
    PrototypeAggregator,
    Supervision,
)
from latte.train.encoding import StepImages
from latte.train.training import Training
from tests.helpers.method_doubles import (
    AgreementLabeler,
    MaskedCrossEntropy,
    TwoPrototypes,
)
from tests.helpers.training_driver import CONTEXT
from tests.helpers.training_engine import (
    SETTINGS,
    Part,
    latteclip_labelers,
    latteclip_part,
    with_settings,
)
from tests.helpers.training_runs import (
    assert_resumes,
    assert_same_bits,
    metrics,
    outcome,
    reclip_parts,
    run,
)

pytestmark = pytest.mark.thorough

Make = Callable[..., Training]


def test_training_changes_weights_and_prototypes_and_logs_steps(make: Make) -> None:
    training = make()
    tensors_before = {name: value.clone() for name, value in outcome_before(training).items()}
    run(training)
    tensors_after = outcome(training)
    moved = [
        name
        for name, value in tensors_before.items()
        if not torch.equal(value, tensors_after[name])
    ]
    assert any("visual" in name for name in moved)
    rows = metrics(training)
    steps = [row for row in rows if row["event"] == "step"]
    assert [row["step"] for row in steps] == list(range(1, 8))
    assert [row["epoch"] for row in steps] == [0, 0, 0, 0, 1, 1, 1]
    assert steps[0]["learning_rate"] == pytest.approx(5e-4)
    assert steps[1]["learning_rate"] == pytest.approx(1e-3)
    assert [row["step"] for row in rows if row["event"] == "epoch"] == [4, 7]


def outcome_before(training: Training) -> dict[str, Tensor]:
    return {
        f"{learner.name} {name}": value.detach()
        for learner in training.learners
        for name, value in learner.parameters.items()
    }


@pytest.mark.parametrize(
    ("shape", "stop_after"),
    [
        *(("latteclip", steps) for steps in (1, 2, 4, 6, 7)),
        *(("two learners", steps) for steps in (1, 3, 5, 7)),
    ],
)
def test_resume_gives_identical_bits(make: Make, stop_after: int, shape: str) -> None:
    def changes() -> dict[str, Any]:
        if shape == "latteclip":
            return {}
        return {
            "parts": reclip_parts(),
            "labelers": [AgreementLabeler(NoOptions(), CONTEXT)],
            "described": False,
        }

    learners = len(make("built", **changes()).learners)
    assert_resumes(lambda name: make(name, **changes()), stop_after * learners)


class RecordingLabeler(AgreementLabeler):
    """Records the batches for which it gives labels."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        super().__init__(options, context)
        self.batches: list[Batch] = []

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        self.batches.append(batch)
        return super().assign(batch, image_features, aggregator)


def test_batches_say_learner_epoch_and_step_and_take_each_image_once_per_epoch(make: Make) -> None:
    labeler = RecordingLabeler(NoOptions(), CONTEXT)
    run(make(parts=reclip_parts(), labelers=[labeler], described=False))
    batches = [(batch.epoch, batch.step, batch.learner) for batch in labeler.batches]
    epochs = [0, 0, 0, 0, 1, 1, 1]
    learners = ("text", "visual")
    assert batches == [(epochs[step], step, name) for step in range(7) for name in learners]
    first_epoch = [batch.indices for batch in labeler.batches if batch.epoch == 0]
    images = torch.cat(first_epoch).bincount().tolist()
    assert images == [2] * 15


class RandomScale(MaskedCrossEntropy):
    """Multiplies the loss by a number of torch's global generator, from which dropout draws."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        super().__init__(options, context)
        self.draws: list[float] = []

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        scale = torch.rand(())
        self.draws.append(float(scale))
        return scale * super().__call__(image_features, supervision, logit_scale)


def random_scales(make: Make, name: str, seed: int = 0) -> Training:
    """Make a training of two learners, each with the loss `RandomScale`."""
    training = make(
        name,
        parts=[replace(part, loss=RandomScale(NoOptions(), CONTEXT)) for part in reclip_parts()],
        labelers=[AgreementLabeler(NoOptions(), CONTEXT)],
        described=False,
    )
    return replace(training, inputs=replace(training.inputs, seed=seed))


def drawn(training: Training) -> list[float]:
    losses = [learner.loss for learner in run(training).learners]
    return [draw for loss in losses if isinstance(loss, RandomScale) for draw in loss.draws]


def test_each_step_of_each_learner_draws_other_numbers_and_a_seed_repeats_them(make: Make) -> None:
    torch.manual_seed(1)
    draws = drawn(random_scales(make, "first"))
    assert len({*draws}) == len(draws) == 14
    torch.manual_seed(2)
    assert drawn(random_scales(make, "again")) == draws
    assert {*drawn(random_scales(make, "other seed", seed=1))}.isdisjoint(draws)


def test_a_loss_that_draws_resumes_with_identical_bits(make: Make) -> None:
    assert_resumes(lambda name: random_scales(make, name), 6)


def test_checkpoints_contain_only_trained_tensors(make: Make) -> None:
    training = run(make(parts=[latteclip_part(trainable="projections")]))
    folders = sorted((training.folder / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["step-000006", "step-000007"]
    names = load_file(folders[-1] / "state.safetensors").keys()
    weights = {name.removeprefix("main/weights/") for name in names if "/weights/" in name}
    assert weights == training.learners[0].parameters.keys()


def test_resume_from_a_damaged_checkpoint_gives_identical_bits(make: Make) -> None:
    uninterrupted = run(make("whole"))
    training = run(make("damaged"))
    newest = sorted((training.folder / "checkpoints").iterdir())[-1] / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    resumed = run(make("damaged"))
    assert_same_bits(outcome(uninterrupted), outcome(resumed))


def test_two_learners_share_a_labeler_that_sees_both_feature_banks(make: Make) -> None:
    training = make(
        parts=reclip_parts(),
        labelers=[AgreementLabeler(NoOptions(), CONTEXT)],
        described=False,
    )
    run(training)
    text, visual = training.learners
    assert not text.images.trains
    assert visual.images.trains
    steps = [row for row in metrics(training) if row["event"] == "step"]
    assert {"text.loss", "visual.loss"} <= steps[0].keys()
    start = training.start.class_features
    assert not torch.equal(visual.aggregator.classifier().weights, start)
    assert not torch.equal(text.aggregator.classifier().weights, start)


def test_two_prototypes_per_class_train_in_the_same_loop(make: Make) -> None:
    part = latteclip_part()
    two = Part(part.name, part.trainable, TwoPrototypes(NoOptions(), CONTEXT), part.loss)
    training = run(make(parts=[two]))
    classifier = training.learners[0].aggregator.classifier()
    assert classifier.weights.shape == (6, 16)
    assert training.learners[0].similarities(training.start.image_features).shape == (15, 3)


def test_constant_image_features_are_not_encoded_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = make(
        parts=[latteclip_part(trainable="text_layer_norms")],
        settings=with_settings(SETTINGS, augment=None),
    )
    assert not training.learners[0].images.trains
    monkeypatch.delattr(OpenClipBackbone, "encode_images")
    run(training)
    (learner,) = training.learners
    features = learner.images.encode(StepImages(torch.tensor([3, 1]), None))
    assert torch.equal(features, training.start.image_features[[3, 1]])


def test_prototypes_change_without_trainable_weights(make: Make) -> None:
    training = run(make(parts=[latteclip_part(trainable="none")]))
    weights = training.learners[0].aggregator.classifier().weights
    assert not torch.equal(weights, training.start.class_features)


def test_each_distinct_text_is_encoded_once_per_step(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    original = OpenClipBackbone.encode_texts

    def counted(self: OpenClipBackbone, texts: Any) -> Tensor:
        calls.append(list(texts))
        return original(self, texts)

    training = make(settings=with_settings(SETTINGS, max_steps=1, evaluate_every=0))
    monkeypatch.setattr(OpenClipBackbone, "encode_texts", counted)
    run(training)
    encoded = [text for call in calls for text in call]
    assert len(calls) == 1
    assert len(encoded) == len(set(encoded))


def test_labels_of_weight_zero_give_no_loss(make: Make) -> None:
    labelers = latteclip_labelers()
    for labeler in labelers:
        labeler.options = labeler.options.model_copy(update={"weight": 0.0})
    training = run(make(labelers=labelers))
    assert all(row["loss"] == 0.0 for row in metrics(training) if row["event"] == "step")
