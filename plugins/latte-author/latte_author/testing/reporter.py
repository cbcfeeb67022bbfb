"""Contract tests of reporters, which write files about a run into the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from latte.api import (
    ClassAccuracy,
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
from latte_author.testing.component import ComponentContract
from latte_author.testing.fixtures import HOSTILE_NAMES, random_classifier
from latte_author.testing.results import run_results, without_evaluation


class ReporterContract(ComponentContract):
    """Tests that a reporter writes only into the run folder and accepts unusual or missing values.

    Example:
        >>> from latte_author.testing import ReporterContract
        >>> class TestCount(ReporterContract):
        ...     component = "count"
    """

    kind: ClassVar[Kind] = "reporter"

    def report(self, folder: Path, results: RunResults, monkeypatch: pytest.MonkeyPatch) -> None:
        """Write the report in an empty working directory, and check the written files."""
        with self._confined(folder, results, monkeypatch) as reporter:
            files = reporter.report(results)
        _check(files, results.folder)

    @contextmanager
    def _confined(
        self, folder: Path, results: RunResults, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Reporter[Any]]:
        """Yield a new reporter; fail if it writes outside of the run folder."""
        reporter: Reporter[Any] = self.make(folder / "recipe")
        working_folder = folder / "current"
        working_folder.mkdir(exist_ok=True)
        monkeypatch.chdir(working_folder)
        files_before = _outside(folder, results.folder)
        yield reporter
        assert _outside(folder, results.folder) == files_before, "it wrote outside results.folder"

    def test_it_writes_into_the_run_folder_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reporter must write in the run folder only and return the written paths."""
        self.report(tmp_path, run_results(tmp_path), monkeypatch)

    def test_it_can_report_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`report` must work if its files exist already, as `latte report` writes them again."""
        results = run_results(tmp_path)
        self.report(tmp_path, results, monkeypatch)
        self.report(tmp_path, results, monkeypatch)

    def test_labels_may_be_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run without evaluations, gallery images and training steps must be reported too."""
        self.report(tmp_path, without_evaluation(run_results(tmp_path)), monkeypatch)

    def test_names_may_be_hostile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reporter must accept any text in class names and descriptions."""
        self.report(tmp_path, hostile(run_results(tmp_path)), monkeypatch)

    def test_hooks_are_called_during_a_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All hooks, then `report`, must work on one reporter, even if a step is sent twice."""
        results = run_results(tmp_path)
        self.observe(tmp_path, results, monkeypatch, ends=True)

    def test_hooks_are_called_when_a_run_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reporter must work in the folder of a failed run, which has no report."""
        results = run_results(tmp_path)
        self.observe(tmp_path, results, monkeypatch, ends=False)
        self.observe(tmp_path, results, monkeypatch, ends=True)

    def observe(
        self, folder: Path, results: RunResults, monkeypatch: pytest.MonkeyPatch, *, ends: bool
    ) -> None:
        """Call the hooks of a new reporter as a run does, or as a failed run if `ends` is False."""
        with self._confined(folder, results, monkeypatch) as reporter:
            files = call_hooks(reporter, results, ends=ends)
        if ends:
            _check(files, results.folder)


def call_hooks(reporter: Reporter[Any], results: RunResults, *, ends: bool = True) -> list[Path]:
    """Call `report` and the hooks of `reporter` in the order of a run; return the written paths.

    The first step is sent twice, as after resuming. With `ends=False`, the run fails before the
    report, and the list is empty.
    """
    rows = [
        (row.pop("event"), Figures(row.pop("step"), row.pop("epoch"), row))
        for row in map(dict, results.metrics)
    ]
    steps = [figures for event, figures in rows if event == "step"]
    start = RunStart(
        results.record.name,
        results.folder,
        results.record.recipe,
        0,
        results.record.data.class_names,
    )
    reporter.on_run_start(start)
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
    written_paths = reporter.report(results)
    reporter.on_run_end()
    return written_paths


def hostile(results: RunResults) -> RunResults:
    """Return a copy of `results` with class names and descriptions from `HOSTILE_NAMES`."""
    accuracies = (ClassAccuracy(3, 4),) * len(HOSTILE_NAMES)
    images = sum(accuracy.images for accuracy in accuracies)
    descriptions = {"image": Described(" ".join(HOSTILE_NAMES))}
    labels = range(len(HOSTILE_NAMES))
    frozen_classifier, adapted_classifier = (
        random_classifier(len(HOSTILE_NAMES), seed) for seed in (1, 2)
    )
    models = tuple(
        replace(
            model,
            classifier=model.classifier
            and replace(model.classifier, images=images, classes=accuracies),
        )
        for model in results.record.evaluate.models
    )
    facts = {
        "data": results.record.data.model_copy(update={"class_names": HOSTILE_NAMES}),
        "evaluate": results.record.evaluate.model_copy(update={"models": models}),
    }
    return replace(
        results,
        record=results.record.model_copy(update=facts),
        gallery=tuple(replace(entry, descriptions=descriptions) for entry in results.gallery),
        pseudo_label_counts=((1, 1),) * len(HOSTILE_NAMES),
        confusions={
            name: tuple(Confusion(label, label // 2, 3) for label in labels)
            for name in ("zero-shot", "adapted")
        },
        label_flows=tuple(LabelFlow(label, label // 2, 2) for label in labels),
        prototypes=(LearnerPrototypes("main", frozen_classifier, adapted_classifier),),
    )


def _check(files: object, folder: Path) -> None:
    assert isinstance(files, list), "report() must return a list"
    assert files, "report() must return the paths that it wrote"
    for file in files:
        assert isinstance(file, Path), f"{file!r} is no Path"
        assert file.exists(), f"{file} does not exist"
        is_inside = file.resolve().is_relative_to(folder.resolve())
        assert is_inside, f"{file} is not in results.folder"


def _outside(folder: Path, run: Path) -> dict[Path, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path: hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in files
        if not path.is_relative_to(run)
    }
