"""Reporters with one fault each, and a missing model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from latte.interfaces import Figures, NoOptions, Reporter, RunResults, RunStart
from latte.testing import ModelContract, ReporterContract
from tests.testing.broken.fault import Fault

REPORTS = {
    "it_writes_into_the_run_folder_alone",
    "it_can_report_again",
    "labels_may_be_missing",
    "names_may_be_hostile",
    "hooks_are_called_during_a_run",
    "hooks_are_called_when_a_run_fails",
}


class Text(Reporter[NoOptions]):
    def report(self, results: RunResults) -> list[Path]:
        path = results.folder / "classes.txt"
        path.write_text("\n".join(results.class_names), encoding="utf-8")
        return [path]


class Absent(Text):
    def report(self, results: RunResults) -> list[Path]:
        return [results.folder / "nothing.txt"]


class TestReportsAreNotThere(Fault, ReporterContract):
    broken = Absent
    fails: ClassVar = REPORTS


class Beside(Text):
    def report(self, results: RunResults) -> list[Path]:
        Path("log.txt").write_text("in the current folder", encoding="utf-8")
        return super().report(results)


class TestItWritesIntoTheCurrentFolder(Fault, ReporterContract):
    broken = Beside
    fails: ClassVar = REPORTS


class Once(Text):
    def report(self, results: RunResults) -> list[Path]:
        (results.folder / "once").mkdir()
        return super().report(results)


class TestItReportsOnce(Fault, ReporterContract):
    broken = Once
    fails: ClassVar = {"it_can_report_again"}


class Expecting(Text):
    def report(self, results: RunResults) -> list[Path]:
        assert results.evaluations[-1].top1.value > 0
        return super().report(results)


class TestItNeedsAnEvaluation(Fault, ReporterContract):
    broken = Expecting
    fails: ClassVar = {"labels_may_be_missing"}


class FileForEachClass(Text):
    def report(self, results: RunResults) -> list[Path]:
        paths = [results.folder / f"{name}.txt" for name in results.class_names]
        for path in paths:
            path.write_text("", encoding="utf-8")
        return paths


class TestNamesBecomeFiles(Fault, ReporterContract):
    broken = FileForEachClass
    fails: ClassVar = {"names_may_be_hostile"}


class Loud(Text):
    def on_steps(self, steps: Sequence[Figures]) -> None:
        Path("log.txt").write_text(f"{steps[-1].step}", encoding="utf-8")


class TestItWritesElsewhereWhileTheRunGoesOn(Fault, ReporterContract):
    broken = Loud
    fails: ClassVar = {"hooks_are_called_during_a_run", "hooks_are_called_when_a_run_fails"}


class Locking(Text):
    def on_run_start(self, run: RunStart) -> None:
        (run.folder / "lock").mkdir()

    def on_run_end(self) -> None:
        for lock in self.context.base_dir.parent.glob("run/lock"):
            lock.rmdir()


class TestItStaysLockedAfterAFailure(Fault, ReporterContract):
    broken = Locking
    fails: ClassVar = {"hooks_are_called_when_a_run_fails"}


class TestNoSuchModel(ModelContract):
    component = "nowhere-to-be-found"
    fails: ClassVar = {"its_folder_holds_a_model", "listing_does_not_import_torch"}
