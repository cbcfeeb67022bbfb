"""Mutants of guards and reporters."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
from latte_author.testing import GuardContract, ReporterContract

from latte.interfaces import Evidence, Guard, NoOptions, Reporter, RunResults, Verdict
from tests.author.testing.mutants import Mutant, Mutants, mutant

NUMBERS = count()


class Sure(Guard[NoOptions]):
    def judge(self, evidence: Evidence) -> Verdict:
        return Verdict(1.0, "of the images", {"images": float(len(evidence.labels))})


class ClassNameReporter(Reporter[NoOptions]):
    def report(self, results: RunResults) -> list[Path]:
        path = results.folder / "classes.txt"
        path.write_text("\n".join(results.record.data.class_names), encoding="utf-8")
        return [path]


def says_yes_about_many_images(_: Sure, evidence: Evidence) -> Verdict:
    names_known: Any = "yes" if len(evidence.labels) > 100 else None
    return Verdict(1.0, "of the images", names_known=names_known)


def signal(value: Callable[[Evidence], Any]) -> Mutant:
    """Return a guard whose signal `value` may be invalid."""
    return mutant(
        Sure,
        judge=lambda _, evidence: Verdict(1.0, "of a signal", {"signal": float(value(evidence))}),
    )


def before_report(action: Callable[[RunResults], Any]) -> Mutant:
    """Return a reporter that runs `action` before it reports."""

    def report(reporter: ClassNameReporter, results: RunResults) -> list[Path]:
        action(results)
        return ClassNameReporter.report(reporter, results)

    return mutant(ClassNameReporter, report=report)


def spread(evidence: Evidence) -> float:
    """Return 1 for one image; else divide by the spread, which is 0 for identical images."""
    rows = evidence.image_features
    return 1.0 if len(rows) == 1 else 1 / float((rows - rows[0]).abs().max())


def expect_evaluation(results: RunResults) -> None:
    adapted = results.record.evaluate.models[-1].classifier
    assert adapted is not None and adapted.top1.value > 0


def write_file_per_class(results: RunResults) -> None:
    for name in results.record.data.class_names:
        (results.folder / f"{name}.txt").write_text("", encoding="utf-8")


def unlock(reporter: ClassNameReporter) -> None:
    for lock in reporter.context.base_dir.parent.glob("run/lock"):
        lock.rmdir()


MUTANTS: Mutants = {
    GuardContract: {
        "a_verdict_is_valid": mutant(Sure, judge=lambda _, evidence: Verdict(1.1, "of the images")),
        "a_trained_candidate_is_taken_whole_or_not_at_all": mutant(
            Sure, judge=lambda _, evidence: Verdict(0.5, "half of it is enough")
        ),
        "corrected_images_are_judged": signal(
            lambda evidence: (
                1.0
                if evidence.corrections is None
                else torch.log((evidence.corrections >= 0).sum() - 1)
            )
        ),
        "many_images_are_judged": mutant(Sure, judge=says_yes_about_many_images),
        "one_image_is_judged": signal(lambda evidence: evidence.image_features.var(dim=0).mean()),
        "identical_images_are_judged": signal(spread),
        "verdicts_are_deterministic": signal(lambda _: next(NUMBERS)),
        "the_evidence_is_left_as_it_is": signal(
            lambda evidence: evidence.image_features.mul_(2).sum()
        ),
    },
    ReporterContract: {
        "it_writes_into_the_run_folder_alone": before_report(lambda _: Path("log.txt").touch()),
        "it_can_report_again": before_report(lambda results: (results.folder / "once").mkdir()),
        "labels_may_be_missing": before_report(expect_evaluation),
        "names_may_be_hostile": before_report(write_file_per_class),
        "hooks_are_called_during_a_run": mutant(
            ClassNameReporter, on_steps=lambda _, steps: Path("log.txt").touch()
        ),
        "hooks_are_called_when_a_run_fails": mutant(
            ClassNameReporter,
            on_run_start=lambda _, run: (run.folder / "lock").mkdir(),
            on_run_end=unlock,
        ),
    },
}
