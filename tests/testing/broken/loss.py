"""Losses; each has one fault."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from latte.components.losses import ContrastiveLoss
from latte.interfaces import Context, NoOptions, Supervision
from latte.testing import LossContract
from tests.testing.broken.fault import Fault


class FaultyLoss(Fault):
    given = NoOptions()


class Listed(ContrastiveLoss):
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        return super().__call__(image_features, supervision, logit_scale).unsqueeze(0)


class TestALossInAList(FaultyLoss, LossContract):
    broken = Listed
    fails: ClassVar = {"it_is_a_finite_scalar"}


class Detached(ContrastiveLoss):
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        given = super().__call__(image_features.detach(), supervision, logit_scale)
        return given + 0 * image_features.sum()


class TestNoGradient(FaultyLoss, LossContract):
    broken = Detached
    fails: ClassVar = {"images_get_gradient"}


class Careless(ContrastiveLoss):
    """Divides by the sum of weights, which may be 0."""

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        given = super().__call__(image_features, supervision, logit_scale)
        total = supervision.stream.weights.sum()
        return given * total / total


class TestWeightsOfZero(FaultyLoss, LossContract):
    broken = Careless
    fails: ClassVar = {"a_batch_without_weight_is_finite"}


class Unweighted(ContrastiveLoss):
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        stream = supervision.stream
        full = replace(stream, weights=torch.ones_like(stream.weights))
        return super().__call__(image_features, replace(supervision, stream=full), logit_scale)


class TestLeftOutSamplesCount(FaultyLoss, LossContract):
    broken = Unweighted
    fails: ClassVar = {"a_sample_of_weight_zero_does_not_count"}


class Ordered(ContrastiveLoss):
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        given = super().__call__(image_features, supervision, logit_scale)
        return given + 0.01 * image_features[0, 0]


class TestTheFirstImageCountsMore(FaultyLoss, LossContract):
    broken = Ordered
    fails: ClassVar = {"the_order_of_the_batch_does_not_matter"}


class Blind(ContrastiveLoss):
    requires = "classifier"


class TestItNeedsWhatItDoesNotDeclare(FaultyLoss, LossContract):
    broken = Blind
    fails: ClassVar = {
        "it_is_a_finite_scalar",
        "images_get_gradient",
        "it_reads_no_more_than_it_requires",
        "the_order_of_the_batch_does_not_matter",
        "a_sample_of_weight_zero_does_not_count",
        "a_batch_without_weight_is_finite",
    }


class Crashing(ContrastiveLoss):
    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        targets = supervision.targets.clone()  # type: ignore[union-attr]
        return super().__call__(image_features, replace(supervision, targets=targets), logit_scale)


class TestItCrashesWithoutTargets(FaultyLoss, LossContract):
    broken = Crashing
    fails: ClassVar = {"it_reads_no_more_than_it_requires"}


class WithTemperature(ContrastiveLoss):
    """Has a parameter that `parameters` does not return."""

    def __init__(self, options: NoOptions, context: Context) -> None:
        super().__init__(options, context)
        self.temperature = nn.Parameter(torch.ones(()))

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        return super().__call__(image_features, supervision, logit_scale) * self.temperature


class TestAnUntrainedParameter(FaultyLoss, LossContract):
    broken = WithTemperature
    fails: ClassVar = {"every_parameter_of_the_loss_trains"}
