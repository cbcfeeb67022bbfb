"""Guards with a fault each."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from latte.adapt.lead import LeadGuard
from latte.adapt.options import LeadOptions
from latte.interfaces import Verdict
from latte.testing import GuardContract
from tests.testing.broken.fault import Fault


class FaultyGuard(Fault):
    given = LeadOptions()


class Silent(LeadGuard):
    def judge(self, image_features: Tensor, class_features: Tensor) -> Verdict:
        return replace(super().judge(image_features, class_features), reason=" ")


class TestNoReason(FaultyGuard, GuardContract):
    broken = Silent
    fails: ClassVar = {"a_verdict_has_a_reason"}


class Writing(LeadGuard):
    def judge(self, image_features: Tensor, class_features: Tensor) -> Verdict:
        image_features.sub_(image_features.mean(dim=0))
        return super().judge(image_features, class_features)


class TestWrittenFeatures(FaultyGuard, GuardContract):
    broken = Writing
    fails: ClassVar = {"a_verdict_has_a_reason", "verdicts_are_deterministic"}


class Moody(LeadGuard):
    times = 0

    def judge(self, image_features: Tensor, class_features: Tensor) -> Verdict:
        Moody.times += 1
        return Verdict(Moody.times % 2 == 0, "of the mood")


class TestMoods(FaultyGuard, GuardContract):
    broken = Moody
    fails: ClassVar = {"verdicts_are_deterministic"}
