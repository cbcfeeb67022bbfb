"""Pseudo-labelers with a fault each."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from latte.adapt.labelers import CurrentLabeler, FrozenLabeler
from latte.adapt.options import CurrentOptions, FrozenOptions
from latte.interfaces import Batch, Classifier, LabelStream, PrototypeAggregator, RoundInfo
from latte.testing import PseudoLabelerContract
from tests.testing.broken.fault import Fault


class ChangedStreams(CurrentLabeler):
    """The current labels, with one thing about their streams changed."""

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
    """Counts its rounds, and does not tell its state."""

    rounds = 1

    def assign(
        self, batch: Batch, image_features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> list[LabelStream]:
        streams = super().assign(batch, image_features, aggregator)
        return [replace(one, weights=one.weights / self.rounds) for one in streams]

    def begin_round(self, banks: Any, aggregators: Any, epoch: int) -> RoundInfo:
        self.rounds += 1
        return RoundInfo()


class TestTheRoundIsForgotten(Fault, PseudoLabelerContract):
    broken = Forgetful
    given = FrozenOptions()
    fails: ClassVar = {"a_stopped_run_goes_on_with_the_same_labels"}


class Zero(FrozenLabeler):
    def begin_round(self, banks: Any, aggregators: Any, epoch: int) -> RoundInfo:
        return RoundInfo({"first": Classifier(torch.zeros(4, 16), torch.arange(4))})


class TestTheClassifierIsZero(Fault, PseudoLabelerContract):
    broken = Zero
    given = FrozenOptions()
    fails: ClassVar = {"begin_round_returns_what_was_learnt"}


class Silent(FrozenLabeler):
    def begin_round(self, banks: Any, aggregators: Any, epoch: int) -> RoundInfo:
        return None  # type: ignore[return-value]


class TestNoRoundInfo(Fault, PseudoLabelerContract):
    broken = Silent
    given = FrozenOptions()
    fails: ClassVar = {"begin_round_returns_what_was_learnt"}
