"""Contract tests of guards, which decide without labels if a run uses the adapted model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from latte.api import Evidence, Guard, Kind, Verdict, check_verdict
from latte_author.testing.component import ComponentContract
from latte_author.testing.fixtures import guard_evidence


class GuardContract(ComponentContract):
    """Tests that a guard's verdict is valid for any `Evidence`, and equal for equal `Evidence`.

    Example:
        >>> from latte_author.testing import GuardContract
        >>> class TestAtLeastFifty(GuardContract):
        ...     component = "at-least-fifty"
    """

    kind: ClassVar[Kind] = "guard"

    def judged(self, folder: Path, evidence: Evidence) -> Verdict:
        """Return the verdict of a new guard on `evidence`."""
        guard: Guard[Any] = self.make(folder)
        verdict = guard.judge(evidence)
        assert isinstance(verdict, Verdict), "judge() must return a Verdict"
        return verdict

    @pytest.mark.parametrize("classes", [1, 2, 4])
    def test_a_verdict_is_valid(self, tmp_path: Path, classes: int) -> None:
        """The verdict's numbers must be finite and in range, and its reason must be one line."""
        evidence = guard_evidence(classes)
        _check(self.judged(tmp_path, evidence), evidence)

    @pytest.mark.parametrize("classes", [1, 4])
    def test_many_images_are_judged(self, tmp_path: Path, classes: int) -> None:
        """The verdict must be valid for 240 images; `names_known` is True, False or None."""
        evidence = guard_evidence(classes, images=240)
        _check(self.judged(tmp_path, evidence), evidence)

    @pytest.mark.parametrize("learners", [1, 2])
    def test_a_trained_candidate_is_taken_whole_or_not_at_all(
        self, tmp_path: Path, learners: int
    ) -> None:
        """If CLIP was trained, `strength` must be 0 or 1, as two CLIPs cannot be mixed."""
        evidence = guard_evidence(trained=True, learners=learners)
        _check(self.judged(tmp_path, evidence), evidence)

    @pytest.mark.parametrize("corrected", [1, 12])
    def test_corrected_images_are_judged(self, tmp_path: Path, corrected: int) -> None:
        """The verdict must be valid if a person gave the class of some or all images."""
        evidence = guard_evidence(corrected=corrected)
        _check(self.judged(tmp_path, evidence), evidence)

    def test_one_image_is_judged(self, tmp_path: Path) -> None:
        """The verdict must be valid for a single image, for which variances are undefined."""
        evidence = guard_evidence(images=1)
        _check(self.judged(tmp_path, evidence), evidence)

    def test_identical_images_are_judged(self, tmp_path: Path) -> None:
        """The verdict must be valid if all images are identical, so that all variances are 0."""
        random_evidence = guard_evidence()
        same_features = random_evidence.image_features[:1].repeat(
            len(random_evidence.image_features), 1
        )
        candidates = {
            name: replace(candidate, image_features=same_features)
            for name, candidate in random_evidence.candidates.items()
        }
        labels = random_evidence.labels[:1].repeat(len(same_features))
        evidence = replace(
            random_evidence, image_features=same_features, candidates=candidates, labels=labels
        )
        _check(self.judged(tmp_path, evidence), evidence)

    def test_verdicts_are_deterministic(self, tmp_path: Path) -> None:
        """A guard must give equal verdicts for equal `Evidence`."""
        message = "the same evidence gets another verdict"
        verdict, second_verdict = (self.judged(tmp_path, guard_evidence()) for _ in range(2))
        assert verdict == second_verdict, message

    def test_the_evidence_is_left_as_it_is(self, tmp_path: Path) -> None:
        """The guard must not change the tensors of `evidence`, which the run still needs."""
        evidence, untouched_evidence = guard_evidence(), guard_evidence()
        self.judged(tmp_path, evidence)
        for tensor, original_tensor in zip(
            _tensors(evidence), _tensors(untouched_evidence), strict=True
        ):
            assert torch.equal(tensor, original_tensor), "judge() must not write into the evidence"


def _check(verdict: Verdict, evidence: Evidence) -> None:
    try:
        check_verdict(verdict, divisible=evidence.divisible)
    except ValueError as error:
        raise AssertionError(str(error)) from error


def _tensors(evidence: Evidence) -> list[Tensor]:
    tensors = [evidence.class_features, evidence.image_features, evidence.labels]
    for candidate in evidence.candidates.values():
        tensors += [
            candidate.image_features,
            candidate.classifier.weights,
            candidate.classifier.owners,
        ]
    return tensors
