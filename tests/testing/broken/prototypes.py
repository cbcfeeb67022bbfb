"""Prototype aggregators; each has one fault."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from latte.components.options import MomentumOptions
from latte.components.prototypes import MomentumPrototypes
from latte.interfaces import Classifier, EpochInfo, LabelStream, Supervision, TrainingStart
from latte.testing import PrototypeAggregatorContract
from tests.testing.broken.fault import Fault


class FaultyPrototypes(Fault):
    given = MomentumOptions(momentum=0.5)


class Stretched(MomentumPrototypes):
    def update(self, supervisions: Sequence[Supervision]) -> None:
        super().update(supervisions)
        self._prototypes = self._prototypes * 1.01


class TestPrototypesGrow(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Stretched
    fails: ClassVar = {"samples_of_weight_zero_do_no_harm"}


class Cleared(MomentumPrototypes):
    """Rows of zeros have no direction."""

    def update(self, supervisions: Sequence[Supervision]) -> None:
        super().update(supervisions)
        counted = any(bool(one.stream.weights.any()) for one in supervisions)
        self._prototypes = self._prototypes * (0.0 if counted else 1.0)


class TestPrototypesAreCleared(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Cleared
    fails: ClassVar = {"steps_keep_the_classifier_whole"}


class Learned(MomentumPrototypes):
    """Has an offset that no optimiser knows."""

    def start(self, start: TrainingStart) -> None:
        super().start(start)
        self.offset = nn.Parameter(torch.zeros_like(start.class_features))


class TestALearnedOffset(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Learned
    fails: ClassVar = {"no_tensor_waits_for_an_optimiser"}


class Misbiased(MomentumPrototypes):
    """One bias for all rows."""

    def classifier(self) -> Classifier:
        return replace(super().classifier(), bias=torch.zeros(1))

    def similarities(self, image_features: Tensor) -> Tensor:
        return super().classifier().similarities(image_features)


class TestTheBiasIsNotOnePerRow(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Misbiased
    fails: ClassVar = {
        "the_classifier_is_whole_from_the_start",
        "supervision_is_what_a_loss_reads",
        "a_recipe_without_descriptions_is_served_or_refused",
        "steps_keep_the_classifier_whole",
        "samples_of_weight_zero_do_no_harm",
        "epochs_may_bring_nothing_or_classifiers",
    }


class Vanishing(MomentumPrototypes):
    """Divides by how many samples a class has, which may be none."""

    def update(self, supervisions: Sequence[Supervision]) -> None:
        sums = torch.zeros_like(self._prototypes)
        for one in supervisions:
            assert one.targets is not None
            weighted = one.targets * one.stream.weights.unsqueeze(1)
            sums = sums.index_add(0, one.stream.labels, weighted.detach())
        self._prototypes = sums / sums.norm(dim=1, keepdim=True)


class TestAbsentClassesAreLost(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Vanishing
    fails: ClassVar = {
        "steps_keep_the_classifier_whole",
        "samples_of_weight_zero_do_no_harm",
        "a_stopped_run_goes_on_to_the_bit",
        "steps_are_deterministic",
    }


class Weightless(MomentumPrototypes):
    def update(self, supervisions: Sequence[Supervision]) -> None:
        super().update(
            [
                replace(one, stream=replace(one.stream, weights=one.stream.weights + 1))
                for one in supervisions
            ]
        )


class TestWeightsAreIgnored(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Weightless
    fails: ClassVar = {"samples_of_weight_zero_do_no_harm"}


class InPlace(MomentumPrototypes):
    def update(self, supervisions: Sequence[Supervision]) -> None:
        shared = self._prototypes
        super().update(supervisions)
        self._prototypes = shared.copy_(self._prototypes)


class TestPrototypesAreWrittenInto(FaultyPrototypes, PrototypeAggregatorContract):
    broken = InPlace
    fails: ClassVar = {
        "handed_out_prototypes_stay_as_they_were",
        "a_stopped_run_goes_on_to_the_bit",
    }


class Amnesiac(MomentumPrototypes):
    """Its state has the prototypes and not those of the epoch's start."""

    def state(self) -> dict[str, Tensor]:
        return {"prototypes": self._prototypes.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._prototypes = state["prototypes"]


class TestStateIsNotWhole(Fault, PrototypeAggregatorContract):
    broken = Amnesiac
    given = MomentumOptions(momentum=0.5, margins="epoch_start")
    fails: ClassVar = {"a_stopped_run_goes_on_to_the_bit"}


class Drawn(MomentumPrototypes):
    draws = itertools.count()

    def update(self, supervisions: Sequence[Supervision]) -> None:
        super().update(supervisions)
        if any(bool(one.stream.weights.any()) for one in supervisions):
            noise = torch.full_like(self._prototypes, 0.01 * next(self.draws))
            self._prototypes = normalize(self._prototypes + noise, dim=1)


class TestStepsAreDrawn(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Drawn
    fails: ClassVar = {"steps_are_deterministic", "a_stopped_run_goes_on_to_the_bit"}


class Partial(MomentumPrototypes):
    """Owners for all classes but the last, which never had an image."""

    def start(self, start: TrainingStart) -> None:
        super().start(start)
        self._owners = self._owners.clamp_max(max(len(self._owners) - 2, 0))


class TestAClassHasNoPrototype(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Partial
    fails: ClassVar = {
        "the_classifier_is_whole_from_the_start",
        "supervision_is_what_a_loss_reads",
        "a_recipe_without_descriptions_is_served_or_refused",
        "steps_keep_the_classifier_whole",
        "samples_of_weight_zero_do_no_harm",
        "epochs_may_bring_nothing_or_classifiers",
    }


class Scaled(MomentumPrototypes):
    def similarities(self, image_features: Tensor) -> Tensor:
        return 100 * super().similarities(image_features)


class TestLogitsAreScaled(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Scaled
    fails: ClassVar = {"the_classifier_is_whole_from_the_start"}


class Attached(MomentumPrototypes):
    def classifier(self) -> Classifier:
        return Classifier(self._prototypes.clone().requires_grad_(), self._owners)


class TestTheClassifierHasGradient(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Attached
    fails: ClassVar = {
        "the_classifier_is_whole_from_the_start",
        "a_recipe_without_descriptions_is_served_or_refused",
        "steps_keep_the_classifier_whole",
        "samples_of_weight_zero_do_no_harm",
        "epochs_may_bring_nothing_or_classifiers",
    }


class Undetached(MomentumPrototypes):
    """Moves prototypes by targets that carry gradient."""

    def update(self, supervisions: Sequence[Supervision]) -> None:
        super().update(supervisions)
        for one in supervisions:
            assert one.targets is not None
            self._prototypes = self._prototypes + 0 * one.targets.sum()


class TestAGraphIsKept(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Undetached
    fails: ClassVar = {
        "steps_keep_the_classifier_whole",
        "samples_of_weight_zero_do_no_harm",
        "handed_out_prototypes_stay_as_they_were",
        "steps_are_deterministic",
        "a_stopped_run_goes_on_to_the_bit",
    }


class Empty(MomentumPrototypes):
    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        return Supervision(stream)

    def update(self, supervisions: Sequence[Supervision]) -> None:
        pass


class TestSupervisionIsEmpty(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Empty
    fails: ClassVar = {"supervision_is_what_a_loss_reads"}


class Averaged(MomentumPrototypes):
    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        given = super().supervise(stream, texts, image_features)
        assert given.targets is not None
        return replace(given, targets=given.targets.mean(dim=0))

    def update(self, supervisions: Sequence[Supervision]) -> None:
        pass


class TestOneTargetForAll(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Averaged
    fails: ClassVar = {"supervision_is_what_a_loss_reads"}


class TextsOnly(MomentumPrototypes):
    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        return super().supervise(stream, {"image": texts["image"]}, image_features)


class TestATextIsMissing(FaultyPrototypes, PrototypeAggregatorContract):
    broken = TextsOnly
    fails: ClassVar = {"a_recipe_without_descriptions_is_served_or_refused"}


class Trusting(MomentumPrototypes):
    def on_epoch_start(self, info: EpochInfo, learner: str) -> None:
        self._prototypes = info.classifiers[learner].weights


class TestAClassifierIsExpected(FaultyPrototypes, PrototypeAggregatorContract):
    broken = Trusting
    fails: ClassVar = {
        "epochs_may_bring_nothing_or_classifiers",
        "a_stopped_run_goes_on_to_the_bit",
    }
