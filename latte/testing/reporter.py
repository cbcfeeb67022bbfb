"""What the last stage of a run relies on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from latte.api import (
    Classifier,
    Confusion,
    Described,
    Figures,
    Kind,
    LabelFlow,
    LearnerPrototypes,
    Reporter,
    RunResults,
    RunStart,
    StageEnd,
)
from latte.testing.component import ComponentContract
from latte.testing.fixtures import HOSTILE_NAMES, unit_rows
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
        _check(files, results.folder)

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

    def test_it_may_hear_of_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every hook in order on one object, a step sent twice, then the report."""
        results = run_results(tmp_path)
        self.hear(tmp_path, results, monkeypatch, ends=True)

    def test_the_run_may_fail(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever was open is closed without a report, and a later run in its place works."""
        results = run_results(tmp_path)
        self.hear(tmp_path, results, monkeypatch, ends=False)
        self.hear(tmp_path, results, monkeypatch, ends=True)

    def hear(
        self, folder: Path, results: RunResults, monkeypatch: pytest.MonkeyPatch, *, ends: bool
    ) -> None:
        """Tell a new reporter of a run; it may write into the run folder alone."""
        reporter = self.make(folder / "recipe")
        current = folder / "current"
        current.mkdir(exist_ok=True)
        monkeypatch.chdir(current)
        before = _outside(folder, results.folder)
        files = tell(reporter, results, ends=ends)
        assert _outside(folder, results.folder) == before, "it wrote outside results.folder"
        if ends:
            _check(files, results.folder)


def tell(reporter: Reporter[Any], results: RunResults, *, ends: bool = True) -> list[Path]:
    """Every hook as a run calls it, with the steps of `results`, of which the first comes twice.

    Returns what `report` wrote; nothing where the run fails instead of ending.
    """
    rows = [(row["event"], _figures(row)) for row in results.metrics]
    steps = [figures for event, figures in rows if event == "step"]
    reporter.on_run_start(_run_start(results))
    reporter.on_stage_end(StageEnd("data", 0.5, reused=True))
    reporter.on_stage_start("train")
    reporter.on_steps(steps[:1])
    reporter.on_steps(steps)
    for event, figures in rows:
        if event == "epoch":
            reporter.on_epoch_end(figures)
    if not ends:
        reporter.on_run_failure(RuntimeError("out of memory"))
        return []
    reporter.on_stage_end(StageEnd("train", 2.5, reused=False))
    written = reporter.report(results)
    reporter.on_run_end()
    return written


def _run_start(results: RunResults) -> RunStart:
    return RunStart(results.name, results.folder, results.recipe, 0, results.class_names)


def _figures(row: Mapping[str, Any]) -> Figures:
    values = {name: value for name, value in row.items() if name not in ("event", "step", "epoch")}
    return Figures(row["step"], row["epoch"], values)


def hostile(results: RunResults) -> RunResults:
    """The same run with names that nobody expects."""
    accuracies = results.evaluations[0].classes[:1] * len(HOSTILE_NAMES)
    described = {"image": Described(" ".join(HOSTILE_NAMES))}
    labels = range(len(HOSTILE_NAMES))
    before, after = (_classifier(len(HOSTILE_NAMES), seed) for seed in (1, 2))
    return replace(
        results,
        class_names=HOSTILE_NAMES,
        evaluations=tuple(replace(one, classes=accuracies) for one in results.evaluations),
        gallery=tuple(replace(entry, descriptions=described) for entry in results.gallery),
        pseudo_label_counts=((1, 1),) * len(HOSTILE_NAMES),
        confusions={
            name: tuple(Confusion(label, label // 2, 3) for label in labels)
            for name in ("zero-shot", "adapted")
        },
        label_flows=tuple(LabelFlow(label, label // 2, 2) for label in labels),
        prototypes=(LearnerPrototypes("main", before, after),),
    )


def _classifier(classes: int, seed: int) -> Classifier:
    return Classifier(unit_rows(classes, seed=seed), torch.arange(classes))


def _check(files: object, folder: Path) -> None:
    """What `report` must return."""
    assert isinstance(files, list), "report() must return a list"
    assert files, "report() must return the paths that it wrote"
    for file in files:
        assert isinstance(file, Path), f"{file!r} is no Path"
        assert file.exists(), f"{file} does not exist"
        inside = file.resolve().is_relative_to(folder.resolve())
        assert inside, f"{file} is not in results.folder"


def _outside(folder: Path, run: Path) -> dict[Path, str]:
    """Content hash of every file below `folder` that is not the run's."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path: hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in files
        if not path.is_relative_to(run)
    }
