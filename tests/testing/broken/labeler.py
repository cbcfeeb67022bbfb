"""Pseudo-labelers; each has one fault."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from latte.components.labelers import CurrentLabeler, FrozenLabeler
from latte.components.options import CurrentOptions, FrozenOptions
from latte.interfaces import (
    Batch,
    Classifier,
    EpochInfo,
    LabelStream,
    Posterior,
    PrototypeAggregator,
)
from latte.testing import PseudoLabelerContract
from tests.testing.broken.fault import Fault


class ChangedStreams(CurrentLabeler):
    """The current labels with one change of their streams."""

    copies = 1

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        return [
            self.changed(stream)
            for stream in super().assign(batch, image_features, aggregator)
            for _ in range(self.copies)
        ]

    def changed(self, stream: LabelStream) -> LabelStream:
        return stream


class FaultyStreams(Fault):
    given = CurrentOptions()
    fails: ClassVar = {"streams_are_well_formed"}


class OneTooMany(ChangedStreams):
    def changed(self, stream: LabelStream) -> LabelStream:
        return replace(stream, labels=stream.labels + 1)


class TestLabelsBeyondTheClasses(FaultyStreams, PseudoLabelerContract):
    broken = OneTooMany
    fails: ClassVar = {
        "streams_are_well_formed",
        "labels_and_classifiers_fit_well_separated_classes",
    }


class Floats(ChangedStreams):
    def changed(self, stream: LabelStream) -> LabelStream:
        return replace(stream, labels=stream.labels.float())


class TestLabelsAreFloats(FaultyStreams, PseudoLabelerContract):
    broken = Floats


class Heavy(ChangedStreams):
    def changed(self, stream: LabelStream) -> LabelStream:
        return replace(stream, weights=stream.weights * 1.5)


class TestWeightsAboveOne(FaultyStreams, PseudoLabelerContract):
    broken = Heavy


class Endless(ChangedStreams):
    def changed(self, stream: LabelStream) -> LabelStream:
        return replace(stream, scale=float("inf"))


class TestAnInfiniteScale(FaultyStreams, PseudoLabelerContract):
    broken = Endless


class Flat(ChangedStreams):
    def changed(self, stream: LabelStream) -> LabelStream:
        return replace(stream, weights=torch.tensor(1.0))


class TestOneWeightForAll(FaultyStreams, PseudoLabelerContract):
    broken = Flat


class Twins(ChangedStreams):
    copies = 2


class TestStreamsShareAName(FaultyStreams, PseudoLabelerContract):
    broken = Twins


class Mute(ChangedStreams):
    copies = 0


class TestNoStreams(FaultyStreams, PseudoLabelerContract):
    broken = Mute


class Vandal(CurrentLabeler):
    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        return super().assign(batch, image_features.mul_(2), aggregator)


class TestFeaturesAreWrittenInto(Fault, PseudoLabelerContract):
    broken = Vandal
    given = CurrentOptions()
    fails: ClassVar = {
        "labels_and_classifiers_fit_well_separated_classes",
        "inputs_stay_unchanged",
        "streams_are_well_formed",
        "labels_are_deterministic",
        "a_stopped_run_goes_on_with_the_same_labels",
    }


class Gambler(FrozenLabeler):
    draws = itertools.count()

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        (stream,) = super().assign(batch, image_features, aggregator)
        weights = torch.full_like(stream.weights, 1 / (1 + next(self.draws)))
        return [replace(stream, weights=weights)]


class TestLabelsAreDrawn(Fault, PseudoLabelerContract):
    broken = Gambler
    given = FrozenOptions()
    fails: ClassVar = {
        "labels_belong_to_images",
        "labels_are_deterministic",
        "a_stopped_run_goes_on_with_the_same_labels",
    }


class Forgetful(FrozenLabeler):
    """Counts epochs, and leaves the count out of its state."""

    epochs = 1

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        streams = super().assign(batch, image_features, aggregator)
        return [replace(one, weights=one.weights / self.epochs) for one in streams]

    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        self.epochs += 1
        return EpochInfo()


class TestTheRoundIsForgotten(Fault, PseudoLabelerContract):
    broken = Forgetful
    given = FrozenOptions()
    fails: ClassVar = {"a_stopped_run_goes_on_with_the_same_labels"}


class Zero(FrozenLabeler):
    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        return EpochInfo({"first": Classifier(torch.zeros(4, 16), torch.arange(4))})


class TestTheClassifierIsZero(Fault, PseudoLabelerContract):
    broken = Zero
    given = FrozenOptions()
    fails: ClassVar = {
        "labels_and_classifiers_fit_well_separated_classes",
        "on_epoch_start_returns_valid_classifiers",
    }


class Opinion(FrozenLabeler):
    """Posterior of two classes per image; subclasses add faults."""

    images = 0

    def start(self, start: Any) -> None:
        super().start(start)
        self.images = len(start.image_features)
        self.classes = len(start.class_names)
        self.best = start.zero_shot_labels

    def posterior(self, learner: str) -> Posterior | None:
        kept = min(2, self.classes)
        labels = (self.best[: self.images, None] + torch.arange(kept)) % self.classes
        return Posterior(labels, torch.tensor([[0.6, 0.3]])[:, :kept].repeat(self.images, 1))


class Ascending(Opinion):
    def posterior(self, learner: str) -> Posterior | None:
        found = super().posterior(learner)
        assert found is not None
        return replace(found, probabilities=found.probabilities.flip(1))


class TestTheLeastProbableClassIsFirst(Fault, PseudoLabelerContract):
    broken = Ascending
    given = FrozenOptions()
    fails: ClassVar = {"a_posterior_is_well_formed_and_survives_a_stop"}


class Absent(Opinion):
    """Posterior that lacks the last image."""

    def start(self, start: Any) -> None:
        super().start(start)
        self.images -= 1


class TestAnImageHasNoPosterior(Fault, PseudoLabelerContract):
    broken = Absent
    given = FrozenOptions()
    fails: ClassVar = {
        "labels_and_classifiers_fit_well_separated_classes",
        "a_posterior_is_well_formed_and_survives_a_stop",
    }


class Lost(Opinion):
    """Posterior computed in `on_epoch_start` and missing in the state."""

    begun = False

    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        self.begun = True
        return EpochInfo()

    def posterior(self, learner: str) -> Posterior | None:
        return super().posterior(learner) if self.begun else None


class TestThePosteriorIsNotInTheState(Fault, PseudoLabelerContract):
    broken = Lost
    given = FrozenOptions()
    fails: ClassVar = {"a_posterior_is_well_formed_and_survives_a_stop"}


class Silent(FrozenLabeler):
    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        return None  # type: ignore[return-value]


class TestNoRoundInfo(Fault, PseudoLabelerContract):
    broken = Silent
    given = FrozenOptions()
    fails: ClassVar = {
        "labels_and_classifiers_fit_well_separated_classes",
        "on_epoch_start_returns_valid_classifiers",
    }


class Positional(FrozenLabeler):
    """Labels by the position in the batch."""

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        return super().assign(
            replace(batch, indices=torch.arange(len(batch.indices))), image_features, aggregator
        )


class TestLabelsByPosition(Fault, PseudoLabelerContract):
    broken = Positional
    given = FrozenOptions()
    fails: ClassVar = {"labels_belong_to_images"}


class Farthest(CurrentLabeler):
    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        return super().assign(batch, -image_features, aggregator)


class TestTheFarthestClass(Fault, PseudoLabelerContract):
    broken = Farthest
    given = CurrentOptions()
    fails: ClassVar = {"labels_and_classifiers_fit_well_separated_classes"}


class Trained(FrozenLabeler):
    """Returns the zero-shot classifier; subclasses add faults."""

    def start(self, start: Any) -> None:
        super().start(start)
        self.rows = start.class_features
        self.shares = torch.bincount(start.zero_shot_labels, minlength=len(self.rows)) + 1.0

    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        return EpochInfo({"first": self.classifier()})

    def classifier(self) -> Classifier:
        raise NotImplementedError


class Shuffled(Trained):
    def classifier(self) -> Classifier:
        return Classifier(self.rows.flip(0), torch.arange(len(self.rows)))


class TestTheClassifierHasAnotherOrder(Fault, PseudoLabelerContract):
    broken = Shuffled
    given = FrozenOptions()
    fails: ClassVar = {"labels_and_classifiers_fit_well_separated_classes"}


class Biased(Trained):
    """Adds the logarithm of the class frequencies to similarities instead of logits."""

    def classifier(self) -> Classifier:
        bias = (self.shares / self.shares.sum()).log()
        return Classifier(self.rows, torch.arange(len(self.rows)), bias)


class TestTheBiasIsInLogits(Fault, PseudoLabelerContract):
    broken = Biased
    given = FrozenOptions()
    fails: ClassVar = {"labels_and_classifiers_fit_well_separated_classes"}


class Centring(FrozenLabeler):
    needs_feature_banks = True

    def on_epoch_start(self, banks: Any, aggregators: Any, epoch: int) -> EpochInfo:
        for bank in banks.values():
            bank.features.sub_(bank.features.mean(dim=0))
        return EpochInfo()


class TestAFeatureBankIsWrittenInto(Fault, PseudoLabelerContract):
    broken = Centring
    given = FrozenOptions()
    fails: ClassVar = {"inputs_stay_unchanged"}


class Doubling(FrozenLabeler):
    def start(self, start: Any) -> None:
        super().start(start)
        start.image_features.mul_(2)


class TestTheTrainingStartIsWrittenInto(Fault, PseudoLabelerContract):
    broken = Doubling
    given = FrozenOptions()
    fails: ClassVar = {"inputs_stay_unchanged"}
