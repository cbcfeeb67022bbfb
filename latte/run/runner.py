"""Puts the stages in order: each is done once, and again only when what it depends on changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from latte import distributed
from latte.data.enough import warn_of_few
from latte.interfaces import Evaluation, Progress, RunResults, RunStart
from latte.io.files import digest, write_json, write_text
from latte.io.redaction import without_secrets
from latte.recipe.dump import dump_yaml
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.results.evaluations import read_evaluations
from latte.results.folder import StageRecord
from latte.results.identity import CHECKPOINTS, STAGES, stage_fingerprints
from latte.run.collect import collect_results
from latte.run.describing import describe, load_bank
from latte.run.evaluating import evaluate
from latte.run.images import Images, find_images, write_images
from latte.run.judging import Outcome, load_outcome, settle
from latte.run.oracle import oracle_labels
from latte.run.process import (
    describe_environment,
    keep_freed_memory,
    peak_memory_mb,
    repeatable,
    share_folder,
    start_measuring,
    take_device,
)
from latte.run.profile import RunProfile, write_profile
from latte.run.training import train_learners
from latte.run.workspace import Workspace, run_folder
from latte.run.zero_shot import ZeroShot, compute_zero_shot, save_zero_shot, zero_shot_of

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class PlannedStage:
    """What a dry run says about a stage."""

    name: str
    reused: bool
    seconds: float | None
    """How long it took when it was done, if it is reused."""


def run_recipe(
    recipe: Recipe,
    registry: Registry,
    progress: Progress,
    *,
    until: str = STAGES[-1],
    limit: int | None = None,
    output: Path | None = None,
    ask_again: bool = False,
    profile: bool = False,
) -> RunResults | None:
    """Run the stages up to `until`; what is finished and unchanged is reused.

    `output` takes the place of the recipe's. `ask_again` describes again, and asks what describers
    refused in an earlier run. `profile` measures where the time goes, into `profile.json`. Returns
    the results after stage `report`.
    """
    folder = run_folder(recipe, limit, output)
    workspace = Workspace(recipe, registry, progress, folder, limit=limit)
    if distributed.world_size() > 1:
        progress.say(f"{distributed.world_size()} processes; progress shows the first one's share")
    with repeatable(recipe.general.deterministic), folder.lock(), workspace.listeners.run():
        if ask_again:
            folder.forget(["describe"])
        measured = RunProfile(workspace) if profile and distributed.is_main_process() else None
        results = _Runner(workspace, STAGES.index(until), ask_again, measured).run()
        if measured is not None:
            write_profile(folder, measured)
        return results


def plan_run(
    recipe: Recipe, registry: Registry, progress: Progress, limit: int | None
) -> tuple[Path, list[PlannedStage]]:
    """The run folder, and for each stage whether it would be reused. Writes nothing."""
    folder = run_folder(recipe, limit)
    workspace = Workspace(recipe, registry, progress, folder, limit=limit)
    images = find_images(workspace)
    fingerprints = _fingerprints(workspace, images)
    planned = []
    for stage in STAGES:
        record = folder.finished(stage)
        reused = record is not None and record.fingerprint == fingerprints[stage]
        planned.append(PlannedStage(stage, reused, record.seconds if record and reused else None))
    return folder.path, planned


class _Runner:
    """One pass over the stages of one run."""

    def __init__(
        self,
        workspace: Workspace,
        last: int,
        ask_again: bool = False,
        profile: RunProfile | None = None,
    ) -> None:
        self.workspace = workspace
        self.folder = workspace.folder
        self.progress = workspace.progress
        self.last = last
        self.ask_again = ask_again
        self.profile = profile

    def run(self) -> RunResults | None:
        """Stages in order; an earlier stage's result is loaded only if a later one needs it."""
        keep_freed_memory()
        take_device(self.workspace.device)
        began = time.perf_counter()
        share_folder(self.folder)
        if self.last >= STAGES.index("zero-shot") and self.folder.finished("zero-shot") is None:
            self.workspace.check_model()
        images = find_images(self.workspace)
        self._warn_of_few(images)
        self.workspace.listeners.run_started(self._run_start(images))
        self.fingerprints = _fingerprints(self.workspace, images)
        if distributed.is_main_process():
            self._write_records()
            self._forget_changed()
        zero_shot: _Lazy[ZeroShot] = _Lazy(lambda: zero_shot_of(self.folder.zero_shot, images))
        bank = _Lazy(lambda: load_bank(self.workspace, images))
        outcome = _Lazy(lambda: load_outcome(self.folder, self.workspace.device, self.progress))
        stages: Mapping[str, Callable[[], Sequence[Path]]] = {
            "data": lambda: _by_first(lambda: write_images(self.workspace, images)),
            "zero-shot": lambda: self._zero_shot(images, zero_shot),
            "describe": lambda: self._describe(images, zero_shot, bank),
            "train": lambda: self._train(images, zero_shot, bank, outcome),
            "evaluate": lambda: evaluate(self.workspace, images, zero_shot(), outcome()),
        }
        for stage, work in stages.items():
            if STAGES.index(stage) <= self.last:
                self._stage(stage, work, began if stage == "data" else None)
        return self._report(images) if STAGES.index("report") <= self.last else None

    def _warn_of_few(self, images: Images) -> None:
        """Say so where images are too few for the class names: once, not for each control."""
        whole = (
            None if self.workspace.limit is None else len(self.workspace.dataset.training_images())
        )
        found = warn_of_few(len(images.training.images), len(images.class_names), whole)
        if found and not self.workspace.is_control:
            self.progress.say(f"warning: {found}")

    def _zero_shot(self, images: Images, kept: _Lazy[ZeroShot]) -> Sequence[Path]:
        found = compute_zero_shot(self.workspace, images)
        if distributed.is_main_process():
            kept.value = found
            save_zero_shot(self.folder.zero_shot, found)
        return [self.folder.zero_shot]

    def _describe(
        self, images: Images, zero_shot: _Lazy[ZeroShot], kept: _Lazy[Any]
    ) -> Sequence[Path]:
        kept.value = describe(self.workspace, images, zero_shot(), self.ask_again)
        gates = [self.folder.gates] if self.workspace.recipe.gates else []
        return [self.folder.descriptions, *gates]

    def _train(
        self, images: Images, zero_shot: _Lazy[ZeroShot], bank: _Lazy[Any], kept: _Lazy[Outcome]
    ) -> Sequence[Path]:
        if distributed.is_main_process():
            environment = describe_environment(self.workspace.recipe, self.workspace.device)
            write_json(self.folder.environment, environment)
        # Asking again can change texts without changing what they depend on.
        texts = digest(self.folder.descriptions.read_bytes())
        self.folder.keep_checkpoints_of(digest(self.fingerprints[CHECKPOINTS], texts))
        candidate, posterior = train_learners(self.workspace, images, zero_shot(), bank())
        kept.value, written = settle(self.workspace, images, zero_shot(), candidate, posterior)
        return [*written, self.folder.metrics]

    def _report(self, images: Images) -> RunResults | None:
        """Controls, then reporters. Results are collected whether or not the pages are reused."""
        controls = self._controls()
        first = distributed.is_main_process()
        results = collect_results(self.workspace, images, controls) if first else None

        def work() -> Sequence[Path]:
            written: list[Path] = []
            if results is None:
                return written
            for reporter in self.workspace.listeners.reporters:
                written += reporter.report(results)
            return written

        self._stage("report", work)
        return results

    def _controls(self) -> dict[str, list[Evaluation]]:
        """Each control runs to its evaluation in a run folder of its own, below this one."""
        evaluations = {}
        for name, recipe in self.workspace.recipe.controls.items():
            self.progress.say(f"control {name}")
            folder = run_folder(recipe, self.workspace.limit, self.folder.controls / name)
            with folder.lock():
                control = self.workspace.control(recipe, folder)
                _Runner(control, STAGES.index("evaluate")).run()
            if distributed.is_main_process():
                evaluations[name] = read_evaluations(folder)
        return evaluations

    def _stage(
        self, stage: str, work: Callable[[], Sequence[Path]], began: float | None = None
    ) -> None:
        """Do `work` unless its result is there, and note that it is finished."""
        listeners = self.workspace.listeners
        before = distributed.broadcast(lambda: self._seconds_of(stage))
        if before is not None:
            self.progress.say(f"{stage}: reused, done before in {before:.1f} s")
            listeners.stage_finished(stage, before, reused=True)
            if self.profile is not None and (record := self.folder.finished(stage)):
                self.profile.note(stage, record, reused=True)
            return
        listeners.stage_started(stage)
        began = time.perf_counter() if began is None else began
        device = self.workspace.device
        start_measuring(device)
        with self.profile.stage(stage) if self.profile else nullcontext():
            outputs = [self.folder.relative(path) for path in work()]
        seconds = round(time.perf_counter() - began, 3)
        memory = peak_memory_mb(device)
        record = StageRecord(self.fingerprints[stage], seconds, tuple(outputs), memory)
        self.folder.finish(stage, record)
        listeners.stage_finished(stage, seconds, reused=False)
        if self.profile is not None:
            self.profile.note(stage, record, reused=False)
        distributed.barrier()

    def _seconds_of(self, stage: str) -> float | None:
        """How long `stage` took, if it is finished."""
        record = self.folder.finished(stage)
        return None if record is None else record.seconds

    def _forget_changed(self) -> None:
        """A changed stage is done again, and so is everything after it: also its checkpoints."""
        for index, stage in enumerate(STAGES):
            record = self.folder.finished(stage)
            if record is None:
                self.folder.forget(STAGES[index:])
                return
            if record.fingerprint != self.fingerprints[stage]:
                self.progress.say(f"{stage}: its inputs have changed, so it is done again")
                self.folder.forget(STAGES[index:])
                return

    def _run_start(self, images: Images) -> RunStart:
        return RunStart(
            name=self.workspace.recipe.general.name,
            folder=self.folder.path,
            recipe=without_secrets(self.workspace.recipe.resolved),
            seed=self.workspace.seed,
            class_names=images.class_names,
        )

    def _write_records(self) -> None:
        recipe, workspace = self.workspace.recipe, self.workspace
        write_text(self.folder.recipe, dump_yaml(recipe.resolved))
        write_json(
            self.folder.source,
            {
                "recipe": str(recipe.path.absolute()),
                "limit": workspace.limit,
                "origins": dict(recipe.origins),
            },
        )


def _by_first(work: Callable[[], Sequence[Path]]) -> Sequence[Path]:
    """What the first of several processes writes."""
    return work() if distributed.is_main_process() else []


class _Lazy(Generic[ResultT]):
    """A stage's result: what it has just made, else what its artifact holds."""

    def __init__(self, load: Callable[[], ResultT]) -> None:
        self._load = load
        self.value: ResultT | None = None

    def __call__(self) -> ResultT:
        if self.value is None:
            self.value = self._load()
        return self.value


def _fingerprints(workspace: Workspace, images: Images) -> dict[str, str]:
    """Of every stage. Raises `LatteError` for an oracle whose images have no labels."""
    labels = oracle_labels(workspace, images)
    return stage_fingerprints(
        workspace.recipe,
        images.fingerprint,
        workspace.registry.model_folder,
        None if labels is None else labels.tolist(),
    )
