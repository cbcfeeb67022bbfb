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
    fails: ClassVar = {"labels_are_deterministic", "a_stopped_run_goes_on_with_the_same_labels"}


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
    fails: ClassVar = {"on_epoch_start_returns_valid_classifiers"}


class Opinion(FrozenLabeler):
    """Posterior of two classes per image; subclasses add faults."""

    images = 0

    def start(self, start: Any) -> None:
        super().start(start)
        self.images = len(start.image_features)
        self.classes = len(start.class_names)

    def posterior(self, learner: str) -> Posterior | None:
        kept = min(2, self.classes)
        labels = torch.arange(kept).repeat(self.images, 1)
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
    fails: ClassVar = {"a_posterior_is_well_formed_and_survives_a_stop"}


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
    fails: ClassVar = {"on_epoch_start_returns_valid_classifiers"}
