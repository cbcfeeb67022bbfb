"""What the last stage of a run relies on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from latte.api import Described, Kind, RunResults
from latte.testing.component import ComponentContract
from latte.testing.fixtures import HOSTILE_NAMES
from latte.testing.results import run_results, without_evaluation


class ReporterContract(ComponentContract):
    """Files in the run folder and nowhere else, whatever the run was called or lacks."""

    kind: ClassVar[Kind] = "reporter"

    def report(self, folder: Path, results: RunResults, monkeypatch: pytest.MonkeyPatch) -> None:
        """Report and check what was written; the current folder is an empty one."""
        reporter = self.make(folder / "recipe")
        current = folder / "current"
        current.mkdir(exist_ok=True)
        monkeypatch.chdir(current)
        before = _outside(folder, results.folder)
        files = reporter.report(results)
        assert _outside(folder, results.folder) == before, "it wrote outside results.folder"
        assert isinstance(files, list), "report() must return a list"
        assert files, "report() must return the paths that it wrote"
        for file in files:
            assert isinstance(file, Path), f"{file!r} is no Path"
            assert file.exists(), f"{file} does not exist"
            inside = file.resolve().is_relative_to(results.folder.resolve())
            assert inside, f"{file} is not in results.folder"

    def test_it_writes_into_the_run_folder_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And returns the paths that it wrote."""
        self.report(tmp_path, run_results(tmp_path), monkeypatch)

    def test_it_can_report_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`latte report` repeats the stage over what is there."""
        results = run_results(tmp_path)
        self.report(tmp_path, results, monkeypatch)
        self.report(tmp_path, results, monkeypatch)

    def test_labels_may_be_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No evaluation split, an empty gallery, no steps."""
        self.report(tmp_path, without_evaluation(run_results(tmp_path)), monkeypatch)

    def test_names_may_be_hostile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Class names and descriptions may hold anything that text can hold."""
        self.report(tmp_path, hostile(run_results(tmp_path)), monkeypatch)


def hostile(results: RunResults) -> RunResults:
    """The same run with names that nobody expects."""
    accuracies = results.evaluations[0].classes[:1] * len(HOSTILE_NAMES)
    described = {"image": Described(" ".join(HOSTILE_NAMES))}
    return replace(
        results,
        class_names=HOSTILE_NAMES,
        evaluations=tuple(replace(one, classes=accuracies) for one in results.evaluations),
        gallery=tuple(replace(entry, descriptions=described) for entry in results.gallery),
        pseudo_label_counts=((1, 1),) * len(HOSTILE_NAMES),
    )


def _outside(folder: Path, run: Path) -> dict[Path, str]:
    """Content hash of every file below `folder` that is not the run's."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path: hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in files
        if not path.is_relative_to(run)
    }
