"""Guards; each has one fault."""

from __future__ import annotations

from typing import ClassVar

import torch

from latte.interfaces import Evidence, Guard, NoOptions, Verdict
from latte.testing import GuardContract
from tests.testing.broken.fault import Fault

ALWAYS = {
    "a_verdict_is_valid",
    "a_trained_candidate_is_taken_whole_or_not_at_all",
    "one_image_is_judged",
    "identical_images_are_judged",
    "corrected_images_are_judged",
}


class Sure(Guard[NoOptions]):
    def judge(self, evidence: Evidence) -> Verdict:
        return Verdict(1.0, "of the images", {"images": float(len(evidence.labels))})


class TestSure(Fault, GuardContract):
    broken = Sure
    fails: ClassVar = set[str]()


class Silent(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        return Verdict(1.0, " ")


class TestNoReason(Fault, GuardContract):
    broken = Silent
    fails: ClassVar = ALWAYS


class InTensor(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        return Verdict(torch.ones(1), "of the images")  # type: ignore[arg-type]


class TestStrengthIsATensor(Fault, GuardContract):
    broken = InTensor
    fails: ClassVar = ALWAYS


class Exaggerating(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        return Verdict(1.1, "of the images")


class TestImpossibleStrength(Fault, GuardContract):
    broken = Exaggerating
    fails: ClassVar = ALWAYS


class Halving(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        return Verdict(0.5, "half of it is enough")


class TestHalfATower(Fault, GuardContract):
    broken = Halving
    fails: ClassVar = {"a_trained_candidate_is_taken_whole_or_not_at_all"}


class Spreading(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        spread = float(evidence.image_features.var(dim=0).mean())
        return Verdict(1.0, "of the spread", signals={"spread": spread})


class TestVarianceOfOneImage(Fault, GuardContract):
    broken = Spreading
    fails: ClassVar = {"one_image_is_judged"}


class Dividing(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        spread = evidence.image_features - evidence.image_features[0]
        ratio = 1.0 if len(spread) == 1 else 1 / float(spread.abs().max())
        return Verdict(1.0, "of the ratio", signals={"ratio": ratio})


class TestIdenticalImages(Fault, GuardContract):
    broken = Dividing
    fails: ClassVar = {"identical_images_are_judged"}


class Writing(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        evidence.image_features.sub_(evidence.image_features.mean(dim=0))
        return super().judge(evidence)


class TestWrittenFeatures(Fault, GuardContract):
    broken = Writing
    fails: ClassVar = {"the_evidence_is_left_as_it_is"}


class Moody(Sure):
    times = 0

    def judge(self, evidence: Evidence) -> Verdict:
        Moody.times += 1
        return Verdict(float(Moody.times % 2), "of the mood")


class TestMoods(Fault, GuardContract):
    broken = Moody
    fails: ClassVar = {"verdicts_are_deterministic"}


class NeedsTwo(Sure):
    def judge(self, evidence: Evidence) -> Verdict:
        given = evidence.corrections
        share = 1.0 if given is None else float(torch.log((given >= 0).sum() - 1))
        return Verdict(1.0, "of the answers", signals={"share": share})


class TestFewCorrections(Fault, GuardContract):
    broken = NeedsTwo
    fails: ClassVar = {"corrected_images_are_judged"}
